package main

import (
	"strings"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// addSchedule stores a schedule from data that fires at two each night.
func (s *shop) addSchedule(name string) {
	s.t.Helper()
	s.must(s.store.PutSchedule(s.t.Context(), nil, jobrt.NewSchedule{
		ScheduleID: jobrt.ScheduleID{Kind: sendKind, Name: name}, Service: "shop", Args: []byte(`{"n":1,"email":"ann@example.com"}`), ArgsSchema: "0123456789abcdef",
		Spec: jobrt.ScheduleSpec{Cron: "0 2 * * *", Zone: "Europe/Berlin", Misfire: jobrt.MisfireOnce, Grace: time.Minute, Overlap: jobrt.OverlapAllow},
	}))
}

func TestSchedulesAreOperatedByHand(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		s.contains(s.run("schedules", "list"), exitOK, "no schedules")
		s.addSchedule("tenant-42")
		name := sendKind + "#tenant-42"
		s.contains(s.run("schedules", "list"), exitOK, name+" | data | cron 0 2 * * * Europe/Berlin | on | ")
		got := s.run("schedules", "show", name)
		s.contains(got, exitOK, "times | cron 0 2 * * * Europe/Berlin\n", "misfire | once, on time within AGE\n", `"email": "[secret]"`, "next times\n  TIME (AGE)\n")
		if ticks := strings.Count(got.out, ":00.000Z ("); ticks != shownTicks {
			t.Errorf("%d next times:\n%s", ticks, got.out)
		}
		by := []string{"--by", "ann", "--reason", "tax office is down"}
		run := func(command string, args ...string) result {
			return s.run(append(append([]string{"schedules", command}, by...), args...)...)
		}
		s.want(run("pause", name), exitOK, "schedule "+name+" is paused\n", "")
		s.contains(s.run("schedules", "show", name), exitOK, "pause | paused by ann: tax office is down\n", "state | paused\n")
		s.want(run("resume", name), exitOK, "schedule "+name+" is resumed\n", "")
		s.contains(run("edit", "--cron", "0 0 31 2 *", name), exitFailed, "edit schedule "+name+": ")
		s.contains(run("edit", "--every", "1h", "--grace", "5m", name), exitOK, "is edited")
		s.contains(s.run("schedules", "show", name), exitOK, "times | every 1h0m0s\n", "by ann: tax office is down; code or data say cron 0 2 * * * Europe/Berlin\n", "on time within AGE")
		s.contains(run("edit", "--clear", name), exitOK, "is as code or data say again")
		s.contains(run("trigger", name), exitOK, "is triggered: job ")
		s.contains(run("backfill", "--from", "2026-01-01", "--until", "2026-01-03", name), exitOK, "is to be backfilled")
		s.contains(s.run("schedules", "show", name), exitOK, "orders\n", "backfill TIME to TIME", "| trigger | ann | ")
		orders, err := s.store.RunOrders(t.Context(), scheduleID(name), 10)
		s.must(err)
		s.contains(run("cancel-order", orders[0].ID.String()), exitOK, "is cancelled")
		s.contains(s.run("schedules", "show", "--json", name), exitOK, `"upcoming":[`, `"exact":true`, `"args":{"n":1,"email":"[secret]"}`)
		s.contains(s.run("audit", "--target", "schedule:"+name), exitOK, "| ann | ")
		s.want(run("remove", name), exitOK, "schedule "+name+" is removed\n", "")
		s.contains(run("remove", name), exitFailed, "not found")
	})
}

func TestWrongScheduleCommandsAreUsageErrors(t *testing.T) {
	s := inSQLite(t)
	s.addSchedule("a")
	name := sendKind + "#a"
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"edit", name}, "needs what to change, or --clear"},
		{[]string{"edit", "--clear", "--count", "3", name}, "takes --clear alone"},
		{[]string{"edit", "--count", "1", "--tz", "UTC", name}, "--tz is that of --cron or --every"},
		{[]string{"edit", "--every", "soon", name}, `--every "soon": want a duration`},
		{[]string{"backfill", name}, "needs --from TIME and a later --until TIME"},
		{[]string{"pause"}, "takes one argument, a schedule, but got 0"},
		{[]string{"pause", "--until", "tomorrow", name}, `--until "tomorrow": want an instant`},
	} {
		s.contains(s.run(append([]string{"schedules"}, tc.args...)...), exitUsage, tc.want)
	}
}

func TestLoopsArePaused(t *testing.T) {
	s := inSQLite(t)
	s.contains(s.run("loops", "list"), exitOK, "no loops")
	s.must(s.store.SyncLoops(t.Context(), jobrt.LoopSync{Service: "shop", Build: "v1", Loops: map[string]time.Duration{"sweep": 10 * time.Second}}))
	s.contains(s.run("loops", "list"), exitOK, "sweep | shop | AGE | next AGE | - | 0 | 0 | -\n")
	s.want(s.run("loops", "pause", "--by", "ann", "--reason", "audit", "sweep"), exitOK, "loop sweep is paused\n", "")
	s.contains(s.run("loops", "list"), exitOK, "| paused by ann: audit |")
	s.want(s.run("loops", "resume", "sweep"), exitOK, "loop sweep is resumed\n", "")
	s.contains(s.run("loops", "resume", "weep"), exitFailed, "loop weep not found")
}

func TestLimitsAreSetAndCleared(t *testing.T) {
	s := inSQLite(t)
	s.contains(s.run("limits", "show"), exitOK, "no limits")
	s.want(s.run("limits", "set", "--queue", "billing", "--rate", "100/m", "--for", "2h", "--by", "ann", "--reason", "provider is throttling"), exitOK,
		"queue:billing starts at most 100/m for AGE\n", "")
	s.want(s.run("limits", "set", "--kind", sendKind, "--concurrency", "0"), exitOK, "kind:"+sendKind+" runs at most 0 jobs at once until it is cleared\n", "")
	s.contains(s.run("limits", "show"), exitOK, "queue:billing | rate | 100/m | operator | ann | AGE | provider is throttling\n", "kind:"+sendKind+" | concurrency | 0 | operator | ")
	s.contains(s.run("kinds"), exitOK, "| concurrency=0 (kind:"+sendKind+") |")
	s.want(s.run("limits", "clear", "--queue", "billing"), exitOK, "rate of queue:billing is cleared\n", "")
	s.contains(s.run("limits", "clear", "--queue", "billing"), exitFailed, "no limit of queue:billing is set by hand")
	s.contains(s.run("limits", "clear", "--queue", "billing", "--rate"), exitFailed, "no such override is in force")
	s.contains(s.run("limits", "set", "--queue", "billing"), exitUsage, "limits set needs --concurrency N or --rate N/m")
	s.contains(s.run("limits", "set", "--queue", "billing", "--rate", "fast"), exitUsage, `rate "fast"`)
	s.contains(s.run("limits", "set", "--rate", "1/s"), exitUsage, "needs one of --queue NAME and --kind NAME")
}

func TestArgumentsAreEditedByHand(t *testing.T) {
	s := inSQLite(t)
	id := s.add("JOB", sendKind)
	s.want(s.run("edit-args", "--by", "ann", "--args", `{"n":2,"email":"bob@example.com"}`, id.String()), exitOK, "job JOB has new arguments\n", "")
	s.contains(s.run("show", "--reveal", id.String()), exitOK, `"email": "bob@example.com"`)
	s.contains(s.run("edit-args", "--args", `[1]`, id.String()), exitFailed, "not a JSON object")
	s.contains(s.run("edit-args", id.String()), exitUsage, "edit-args needs --args JSON and one id")
}
