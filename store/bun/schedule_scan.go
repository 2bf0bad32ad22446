package bunstore

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// scheduleColumns are what scanSchedule reads, in its order, of a row s.
const scheduleColumns = `s.kind, s.name, s.service, s.owner, s.seq, s.cursor_at, s.next_tick, s.next_at, s.last_tick,
	s.last_job, EXISTS (SELECT 1 FROM {jobs} j WHERE j.id = s.last_job), s.runs, s.counted, s.missed, s.skipped, s.ended,
	s.ordered, s.spec, s.edit, s.args, s.args_schema, s.error, s.failed_at, s.paused_at, s.paused_until, s.paused_by,
	s.paused_reason, s.orphan_since, s.build, s.created_at, s.updated_at`

// scanSchedule reads a row of scheduleColumns. A spec that somebody has edited into something else makes an error of the
// schedule, not of the call: others go on.
func scanSchedule(r rows) (i jobrt.ScheduleInfo, err error) {
	var cursor, nextTick, nextAt, lastTick, failed, paused, until, orphan, created, updated instant
	var lastJob optionalID
	var spec, edit, args raw
	var message, by, reason text
	err = r.Scan(&i.Kind, &i.Name, &i.Service, &i.Owner, &i.Seq, &cursor, &nextTick, &nextAt, &lastTick,
		&lastJob, &i.LastLive, &i.Runs, &i.Counted, &i.Missed, &i.Skipped, &i.Ended, &i.Ordered, &spec, &edit, &args,
		&i.ArgsSchema, &message, &failed, &paused, &until, &by, &reason, &orphan, &i.Build, &created, &updated)
	if err != nil {
		return i, err
	}
	i.Cursor, i.NextTick, i.NextAt, i.LastTick, i.LastJob = cursor.Time, nextTick.Time, nextAt.Time, lastTick.Time, lastJob.ID
	i.Args, i.Error, i.FailedAt, i.OrphanSince = args, string(message), failed.Time, orphan.Time
	i.CreatedAt, i.UpdatedAt = created.Time, updated.Time
	if !paused.IsZero() {
		i.Pause = &jobrt.SchedulePause{By: string(by), Reason: string(reason), At: paused.Time, Until: until.Time}
	}
	if err := json.Unmarshal(spec, &i.Spec); err != nil {
		i.Spec = jobrt.ScheduleSpec{Cron: unreadable}
	}
	if edit != nil {
		i.Edit = new(jobrt.ScheduleEdit)
		if err := json.Unmarshal(edit, i.Edit); err != nil {
			i.Edit = &jobrt.ScheduleEdit{Cron: unreadable}
		}
	}
	return i, nil
}

// scheduleText is a row as it is sent: instants in microseconds since 1970, JSON as text.
type scheduleText struct {
	Kind       string  `json:"kind"`
	Name       string  `json:"name"`
	Service    string  `json:"service"`
	Owner      string  `json:"owner"`
	Seq        int64   `json:"seq"`
	Cursor     int64   `json:"cursor_at"`
	NextTick   *int64  `json:"next_tick"`
	NextAt     *int64  `json:"next_at"`
	LastTick   *int64  `json:"last_tick"`
	LastJob    *string `json:"last_job"`
	Runs       int64   `json:"runs"`
	Counted    int64   `json:"counted"`
	Missed     int64   `json:"missed"`
	Skipped    int64   `json:"skipped"`
	Ended      bool    `json:"ended"`
	Ordered    bool    `json:"ordered"`
	Spec       string  `json:"spec"`
	Edit       *string `json:"edit"`
	Args       string  `json:"args"`
	ArgsSchema string  `json:"args_schema"`
	Error      *string `json:"error"`
	Failed     *int64  `json:"failed_at"`
	Paused     *int64  `json:"paused_at"`
	Until      *int64  `json:"paused_until"`
	By         *string `json:"paused_by"`
	Reason     *string `json:"paused_reason"`
	Orphan     *int64  `json:"orphan_since"`
	Build      string  `json:"build"`
	Created    int64   `json:"created_at"`
	Updated    int64   `json:"updated_at"`
}

// schedulesText is the JSON array of rows.
func schedulesText(infos []jobrt.ScheduleInfo) (string, error) {
	texts := make([]scheduleText, len(infos))
	for n := range infos {
		i := &infos[n]
		spec, err := json.Marshal(i.Spec)
		if err != nil {
			return "", fmt.Errorf("schedule %s: %w", i.Text(), err)
		}
		t := scheduleText{
			Kind: i.Kind, Name: i.Name, Service: i.Service, Owner: string(i.Owner), Seq: i.Seq, Cursor: i.Cursor.UnixMicro(),
			NextTick: optionalMicros(i.NextTick), NextAt: optionalMicros(i.NextAt), LastTick: optionalMicros(i.LastTick),
			Runs: i.Runs, Counted: i.Counted, Missed: i.Missed, Skipped: i.Skipped, Ended: i.Ended, Ordered: i.Ordered,
			Spec: string(spec), Args: string(i.Args), ArgsSchema: i.ArgsSchema, Error: optionalText(i.Error),
			Failed: optionalMicros(i.FailedAt), Orphan: optionalMicros(i.OrphanSince), Build: i.Build,
			Created: i.CreatedAt.UnixMicro(), Updated: i.UpdatedAt.UnixMicro(),
		}
		if !i.LastJob.IsZero() {
			id := i.LastJob.String()
			t.LastJob = &id
		}
		if p := i.Pause; p != nil {
			t.Paused, t.Until, t.By, t.Reason = optionalMicros(p.At), optionalMicros(p.Until), &p.By, &p.Reason
		}
		if i.Edit != nil {
			edit, err := i.Edit.Encode()
			if err != nil {
				return "", fmt.Errorf("schedule %s: %w", i.Text(), err)
			}
			text := string(edit)
			t.Edit = &text
		}
		texts[n] = t
	}
	data, err := json.Marshal(texts)
	return string(data), err
}

func optionalMicros(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	us := t.UnixMicro()
	return &us
}

func optionalText(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// idsOfSchedules is the JSON array of schedules' names.
func idsOfSchedules(ids []jobrt.ScheduleID) (string, error) {
	data, err := json.Marshal(ids)
	return string(data), err
}

func collectSchedules(ctx context.Context, q querier, text string, args ...any) ([]jobrt.ScheduleInfo, error) {
	infos := []jobrt.ScheduleInfo{}
	err := collect(ctx, q, func(r rows) error {
		info, err := scanSchedule(r)
		infos = append(infos, info)
		return err
	}, text, args...)
	return infos, err
}

func collectRuns(ctx context.Context, q querier, statement string, args ...any) ([]jobrt.ScheduleRun, error) {
	runs := []jobrt.ScheduleRun{}
	err := collect(ctx, q, func(r rows) error {
		var run jobrt.ScheduleRun
		var tick, at instant
		var state text
		err := r.Scan(&tick, &run.Manual, &run.Job, &at, &run.Existed, &state)
		run.Tick, run.At, run.State = tick.Time, at.Time, jobrt.State(state)
		runs = append(runs, run)
		return err
	}, statement, args...)
	return runs, err
}

// scanUntilDue reads now in microseconds, whether schedules are due, whether any have open orders, and microseconds to
// the next of the others or NULL.
func scanUntilDue(
	ctx context.Context, q querier, due *jobrt.DueSchedules, text string, args ...any,
) (some, ordered bool, err error) {
	var at int64
	var next *int64
	_, err = first(ctx, q, []any{&at, &some, &ordered, &next}, text, args...)
	due.Now, due.Next = time.UnixMicro(at).UTC(), -1
	if next != nil {
		due.Next = time.Duration(min(max(*next, 0), math.MaxInt64/1000)) * time.Microsecond
	}
	return some, ordered, err
}

// collectOrdered reads schedules with the oldest open order of each.
func collectOrdered(
	ctx context.Context, d orderDialect, q querier, statement string, args ...any,
) (ordered []jobrt.OrderedSchedule, err error) {
	infos, err := collectSchedules(ctx, q, statement, args...)
	for i := 0; err == nil && i < len(infos); i++ {
		var some bool
		o := jobrt.OrderedSchedule{ScheduleInfo: infos[i]}
		if o.Order, some, err = d.openOrder(ctx, q, o.ScheduleID); some {
			ordered = append(ordered, o)
		}
	}
	return ordered, err
}

func collectKnown(ctx context.Context, q querier, statement string, runs []scheduleRun) (map[runKeyText]bool, error) {
	if len(runs) == 0 {
		return nil, nil
	}
	arg, err := runsText(runs)
	if err != nil {
		return nil, err
	}
	known := make(map[runKeyText]bool)
	err = collect(ctx, q, func(r rows) error {
		var k runKeyText
		err := r.Scan(&k.Kind, &k.Name, &k.Tick, &k.Manual)
		known[k] = true
		return err
	}, statement, arg)
	return known, err
}

func execRuns(ctx context.Context, q querier, statement string, runs []scheduleRun) error {
	if len(runs) == 0 {
		return nil
	}
	arg, err := runsText(runs)
	if err == nil {
		_, err = q.exec(ctx, statement, arg)
	}
	return err
}

// orderColumns are what scanOrder reads.
const orderColumns = `id, kind, name, what, from_at, until_at, cursor_at, made, left_out, ordered_by, reason, created_at,
	done_at, error`

func collectOrders(ctx context.Context, q querier, statement string, args ...any) ([]jobrt.RunOrder, error) {
	orders := []jobrt.RunOrder{}
	err := collect(ctx, q, func(r rows) error {
		var o jobrt.RunOrder
		var from, until, cursor, created, done instant
		var message text
		err := r.Scan(&o.ID, &o.Kind, &o.Name, &o.What, &from, &until, &cursor, &o.Made, &o.Left, &o.By, &o.Reason, &created,
			&done, &message)
		o.From, o.Until, o.Cursor, o.CreatedAt, o.DoneAt = from.Time, until.Time, cursor.Time, created.Time, done.Time
		o.Error = string(message)
		orders = append(orders, o)
		return err
	}, statement, args...)
	return orders, err
}

// firstOrder is the first of collectOrders, if there is one.
func firstOrder(ctx context.Context, q querier, statement string, args ...any) (o jobrt.RunOrder, some bool, err error) {
	orders, err := collectOrders(ctx, q, statement, args...)
	if err != nil || len(orders) == 0 {
		return o, false, err
	}
	return orders[0], true, nil
}
