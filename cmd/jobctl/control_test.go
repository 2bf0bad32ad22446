package main

import (
	"strings"
	"testing"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func TestPausesNameWhoWhyAndUntilWhen(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		job := s.add("JOB", sendKind)
		s.want(s.run("pause", "--queue", "biling"), exitFailed, "",
			"jobctl: override: queue:biling is unknown to every catalogue, worker and job; did you mean queue:billing? (--force sets it all the same)\n")
		s.want(s.run("pause", "--queue", "billing", "--for", "2d", "--by", "ann", "--reason", "the mailer is down"), exitOK,
			"queue:billing is paused for AGE\n", "")
		s.want(s.run("overrides", "list"), exitOK, `
TARGET | SETTING | VALUE | BY | SET | ENDS | REASON
queue:billing | paused | true | ann | AGE | AGE | the mailer is down
`, "")
		s.contains(s.run("list"), exitOK, "| paused (queue:billing)\n")
		s.contains(s.run("show", job.String()), exitOK, "held | paused (queue:billing) by ann, ends AGE: the mailer is down\n")
		s.contains(s.run("queues"), exitOK, "billing ? | - | 10 (default) | 1 | paused (queue:billing) | - | -\n")
		s.contains(s.run("kinds"), exitOK, sendKind+" | billing | shop | v1 | 1 | paused (queue:billing) | -\n")
		s.want(s.run("resume", "--queue", "billing"), exitOK, "queue:billing is resumed\n", "")
		s.want(s.run("resume", "--queue", "billing"), exitFailed, "", "jobctl: queue:billing is not paused; jobctl overrides list shows what is\n")
		s.want(s.run("pause", "--all", "--json"), exitOK, `{"did":"pause","target":"*"}`+"\n", "")
		s.want(s.run("overrides", "clear", "*", "paused"), exitOK, "paused of everything is cleared\n", "")
		s.contains(s.run("audit", "--actor", "ann"), exitOK, "| ann | ", "| queue:billing | the mailer is down |")
		s.contains(s.run("audit", "--json", "--limit", "1"), exitOK, `"target":"*"`)
	})
}

func TestWorkersAreSteered(t *testing.T) {
	s := inSQLite(t)
	worker := s.worker.String()
	s.contains(s.run("workers", "list"), exitOK, "WORKER | shop | host-a | 1 | - | billing | 1 | 0 | AGE | AGE | -\n")
	s.want(s.run("workers", "quiet", "--by", "ann", worker), exitOK, "worker WORKER is quiet\n", "")
	s.contains(s.run("workers", "list"), exitOK, " | quiet\n")
	s.want(s.run("workers", "unquiet", worker), exitOK, "worker WORKER claims again\n", "")
	s.want(s.run("workers", "unquiet", worker), exitFailed, "", "jobctl: worker WORKER is not quiet\n")
	s.want(s.run("workers", "stop", worker), exitOK, "worker WORKER is asked to stop\n", "")
	s.want(s.run("workers", "set", "--queue", "billing", "--count", "3"), exitOK, "queue billing runs 3 handlers in each process until it is cleared\n", "")
	s.want(s.run("workers", "set", "--slots", "7", worker), exitOK, "worker WORKER runs 7 handlers until it is cleared\n", "")
	s.contains(s.run("queues", "--json"), exitOK, `"workers_each":{"value":"3","source":"operator"`)
	controls, err := s.session.Controls(t.Context(), s.worker)
	s.must(err)
	var set []string
	for _, o := range controls.Overrides {
		set = append(set, o.Setting+"="+o.Value)
	}
	if got := strings.Join(set, " "); got != "workers=3 slots=7 stop=true" {
		t.Errorf("the worker is told %s", got)
	}
	gone := jobrt.NewID()
	s.names[gone] = "GONE"
	s.want(s.run("workers", "quiet", gone.String()), exitFailed, "", "jobctl: worker GONE not found: it has ended, or its lease was lost long ago\n")
	for _, args := range [][]string{{"--count", "3"}, {"--queue", "x", "--slots", "1"}, {}} {
		s.contains(s.run(append([]string{"workers", "set"}, args...)...), exitUsage, "workers set needs --queue NAME with --count N, or --slots N")
	}
}

func TestBuildsAreHeldAndRetired(t *testing.T) {
	s := inSQLite(t)
	s.contains(s.run("builds", "list"), exitOK, "shop | v1 | AGE | AGE | 0 | -\n")
	s.want(s.run("builds", "hold", "--by", "ann", sendKind, "v1"), exitOK, sendKind+" is held on build v1\n", "")
	s.contains(s.run("kinds"), exitOK, "| held on build v1 |")
	s.want(s.run("builds", "release", sendKind, "v1"), exitOK, sendKind+" is released on build v1\n", "")
	s.contains(s.run("overrides", "list"), exitOK, "hold:v1 | off |")
	s.want(s.run("builds", "retire", "shop", "v1"), exitOK, "build v1 of shop is retired\n", "")
	s.contains(s.run("builds", "retire", "shop", "v9"), exitFailed, "retire build v9 of shop: ", "not found")
}

func TestBreakersAndStatisticsAreShown(t *testing.T) {
	s := inSQLite(t)
	s.contains(s.run("stats"), exitOK, "no attempts have ended")
	s.contains(s.run("breakers", "list"), exitOK, "no breakers")
	_, turned, err := s.session.ReportBreaker(t.Context(), jobrt.BreakerReport{
		Kind: sendKind, Service: "shop", Worker: s.worker, Config: jobrt.BreakerConfig{Failures: 2}, Failures: 2, Reason: "503",
	})
	s.must(err)
	if !turned {
		t.Fatal("the breaker has not opened")
	}
	s.must(s.session.RecordStats(t.Context(), jobrt.NewID(), []jobrt.Stat{{
		Service: "shop", Kind: sendKind, Queue: "billing", Build: "v1", Counts: jobrt.StatCounts{Succeeded: 3, Failed: 1},
	}}))
	s.contains(s.run("breakers", "list"), exitOK, sendKind+" | open | 2 | AGE | AGE | 503\n")
	s.contains(s.run("list"), exitOK, "no live or dead jobs")
	s.contains(s.run("stats", "--by", "all"), exitOK, sendKind+" | billing | v1 | 3 | 1 | 0 | 0 | 0 | 25.0% |")
	s.contains(s.run("stats", "--within", "31d"), exitUsage, "--within")
	s.want(s.run("breakers", "reset", "--by", "ann", sendKind), exitOK, "the breaker of "+sendKind+" is closed\n", "")
	s.contains(s.run("breakers", "reset", "shop/none"), exitFailed, "not found")
}

func TestTheOutboxIsShownAndMended(t *testing.T) {
	s := inSQLite(t)
	s.contains(s.run("outbox", "list"), exitOK, "the outbox is empty")
	parcel, job := jobrt.NewID(), jobrt.NewID()
	s.names[parcel], s.names[job] = "PARCEL", "JOB"
	s.must(s.store.Stow(t.Context(), nil, []jobrt.OutboxParcel{{
		ID: parcel, Queue: "mail", Items: []jobrt.OutboxItem{{ID: job, Kind: sendKind, Digest: "d", Body: []byte("{}")}},
	}}))
	s.contains(s.run("outbox", "list"), exitOK, "PARCEL | mail | JOB | "+sendKind+" | AGE | 0 | ")
	s.contains(s.run("outbox", "drop", "--by", "ann", job.String()), exitOK, "parcel PARCEL is dropped\n")
	s.contains(s.run("outbox", "drop", job.String()), exitFailed, "nothing of the outbox has one of these ids")
	if got := s.audited(); !strings.Contains(got, "outbox:PARCEL ann") {
		t.Errorf("audit: %s", got)
	}
}
