package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

// How much schedules show prints.
const (
	shownTicks  = 5
	shownRuns   = 10
	shownOrders = 5
)

// shownSchedule is a schedule as schedules show prints it.
type shownSchedule struct {
	jobrt.ScheduleInfo
	// Upcoming are the next ticks; Exact is not set when calendars, which only workers know, may leave some out.
	Upcoming []time.Time         `json:"upcoming"`
	Exact    bool                `json:"exact"`
	Runs     []jobrt.ScheduleRun `json:"last_runs"`
	Orders   []jobrt.RunOrder    `json:"orders,omitempty"`
	Args     json.RawMessage     `json:"args,omitempty"`
	ArgsNote string              `json:"args_note,omitempty"`
}

func showSchedule(c *cli.Context) error {
	text, err := oneOperand(c, "a schedule")
	if err != nil {
		return err
	}
	id := scheduleID(text)
	return withStore(c, bunstore.Check, func(s *bunstore.Store) error {
		o, err := operatorOf(c, s)
		if err != nil {
			return err
		}
		shown := shownSchedule{}
		if shown.ScheduleInfo, err = o.Schedule(c.Context, id); err != nil {
			return err
		}
		if shown.Runs, err = o.ScheduleRuns(c.Context, id, time.Time{}, shownRuns); err != nil {
			return err
		}
		if shown.Orders, err = o.RunOrders(c.Context, id, shownOrders); err != nil {
			return err
		}
		var whyNot error // of the next ticks, which the zone database of this machine may not know
		shown.Upcoming, shown.Exact, whyNot = shown.ScheduleInfo.Upcoming(shownTicks)
		kinds, err := catalogue(c, s)
		if err != nil {
			return err
		}
		shown.Args, shown.ArgsNote = shownArgs(c, shown.EffectiveArgs(), kinds, id.Kind)
		if c.Bool("json") {
			return printJSON(c.App.Writer, shown)
		}
		return shown.print(c.App.Writer, whyNot, time.Now())
	})
}

// shownArgs are arguments of a kind without its secrets, or why they are not shown.
func shownArgs(c *cli.Context, args []byte, kinds map[string]jobrt.KindInfo, kind string) (json.RawMessage, string) {
	known, ok := kinds[kind]
	switch {
	case c.Bool("reveal"):
		return args, ""
	case ok:
		return redacted(args, known.RedactArgs)
	}
	return nil, noteIf(args, unknownKind)
}

func (s shownSchedule) print(w io.Writer, whyNot error, now time.Time) error {
	t := newTable(w)
	row := newRow(t)
	spec := s.Effective()
	row("schedule", "%s", s.Text())
	row("from", "%s, service %s, build %s", s.Owner, s.Service, dash(s.Build))
	row("times", "%s", timesText(spec))
	row("state", "%s", scheduleState(s.ScheduleInfo, now))
	if s.Pause != nil {
		row("pause", "%s", pauseText(*s.Pause, now))
	}
	if !s.OrphanSince.IsZero() {
		row("orphan", "no build declares it since %s", at(s.OrphanSince, now))
	}
	if s.Edit != nil {
		because := ""
		if s.Edit.Reason != "" {
			because = ": " + s.Edit.Reason
		}
		row("edited", "%s by %s%s; code or data say %s", at(s.Edit.At, now), s.Edit.By, because, timesText(s.Spec))
	}
	row("misfire", "%s, on time within %s", spec.Misfire, span(spec.Grace))
	row("overlap", "%s", spec.Overlap)
	if spec.Jitter > 0 {
		row("jitter", "up to %s", span(spec.Jitter))
	}
	if !spec.From.IsZero() {
		row("not before", "%s", at(spec.From, now))
	}
	if !spec.Until.IsZero() {
		row("until", "%s", at(spec.Until, now))
	}
	if spec.Count > 0 {
		row("count", "%d of %d", s.Counted, spec.Count)
	}
	if len(spec.Calendars) > 0 {
		row("calendars", "%s", strings.Join(spec.Calendars, " "))
	}
	row("runs", "%d, %d missed, %d skipped", s.ScheduleInfo.Runs, s.Missed, s.Skipped)
	if s.Error != "" {
		row("error", "%s, since %s", s.Error, at(s.FailedAt, now))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	printValue(w, "args", s.Args, s.ArgsNote)
	if err := s.printTicks(w, whyNot, now); err != nil {
		return err
	}
	if err := s.printRuns(w, now); err != nil {
		return err
	}
	return s.printOrders(w, now)
}

func (s shownSchedule) printTicks(w io.Writer, whyNot error, now time.Time) error {
	switch {
	case whyNot != nil:
		fmt.Fprintf(w, "next times unknown: %s\n", oneLine(whyNot.Error()))
		return nil
	case len(s.Upcoming) == 0:
		fmt.Fprintln(w, "no next times")
		return nil
	case !s.Exact:
		fmt.Fprintln(w, "next times, of which calendars may leave some out")
	default:
		fmt.Fprintln(w, "next times")
	}
	for _, tick := range s.Upcoming {
		fmt.Fprintf(w, "  %s\n", at(tick, now))
	}
	return nil
}

func (s shownSchedule) printRuns(w io.Writer, now time.Time) error {
	if len(s.Runs) == 0 {
		return nil
	}
	fmt.Fprintln(w, "last runs")
	t := newTable(w)
	fmt.Fprintln(t, "  FOR\tJOB\tSTATE\tMADE\tNOTE")
	for _, r := range s.Runs {
		var note string
		switch {
		case r.Existed:
			note = "a job with its unique key was live"
		case r.Manual:
			note = "by hand"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", stamp(r.Tick), r.Job, dash(string(r.State)), when(r.At, now), dash(note))
	}
	return t.Flush()
}

func (s shownSchedule) printOrders(w io.Writer, now time.Time) error {
	if len(s.Orders) == 0 {
		return nil
	}
	fmt.Fprintln(w, "orders")
	t := newTable(w)
	fmt.Fprintln(t, "  ID\tWHAT\tBY\tORDERED\tSTATE\tMADE\tLEFT\tERROR")
	for _, o := range s.Orders {
		state := "open"
		if !o.DoneAt.IsZero() {
			state = "done"
		}
		what := string(o.What)
		if o.What == jobrt.OrderBackfill {
			what += " " + stamp(o.From) + " to " + stamp(o.Until)
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", o.ID, what, oneLine(o.By), when(o.CreatedAt, now), state, o.Made, o.Left, dash(oneLine(o.Error)))
	}
	return t.Flush()
}
