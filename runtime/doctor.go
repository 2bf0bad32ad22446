package jobrt

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Severity says how bad a [Finding] is.
type Severity string

// The severities, the worst first.
const (
	SeverityError   Severity = "error"   // jobs are lost, or don't run, or will soon
	SeverityWarning Severity = "warning" // somebody should look
	SeverityNote    Severity = "note"    // worth knowing
)

var severities = []Severity{SeverityError, SeverityWarning, SeverityNote}

// Finding is something about a database or its workers that an operator should know.
type Finding struct {
	Severity Severity `json:"severity"`
	// Check that found it, in a word: "settings", "bloat", "clock", "workers".
	Check string `json:"check"`
	// Target that it is about, as in the audit; empty for the whole.
	Target string `json:"target,omitempty"`
	What   string `json:"what"`
	// Why it matters, and what to Do about it.
	Why string `json:"why"`
	Do  string `json:"do,omitempty"`
}

// Diagnoser is a [Store] that can tell how its database does. Diagnose only looks.
type Diagnoser interface {
	Diagnose(ctx context.Context) ([]Finding, error)
}

const (
	// lateJobs is how long due jobs may wait for a worker that serves them before that is worth a warning.
	lateJobs = 10 * time.Minute
	// oldHold is the age from which on a pause without an end may have been forgotten.
	oldHold = 24 * time.Hour
	// lateSchedule is how late a schedule, a loop or the outbox may be.
	lateSchedule = time.Minute
	// doctorCap bounds what the doctor counts and lists of each sort.
	doctorCap = 1000
	// failingLoop is how many failures of a loop in a row are worth a warning.
	failingLoop = 3
)

// Doctor examines the database, when the store is a [Diagnoser], and what is known of workers, queues, schedules and the
// rest, and returns what it finds, the worst first. It only looks. A check that fails is a finding itself, so that the
// others are heard of; an error means that nothing could be asked.
func (o *Operator) Doctor(ctx context.Context) ([]Finding, error) {
	d := &doctor{store: o.store}
	due, err := o.store.DueSchedules(ctx, DueRequest{Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("doctor: %w", err)
	}
	d.now = due.Now
	if database, ok := o.store.(Diagnoser); ok {
		d.check("database", func() error {
			found, err := database.Diagnose(ctx)
			d.found = append(d.found, found...)
			return err
		})
	}
	for name, check := range map[string]func(context.Context) error{
		"workers": d.workers, "overrides": d.overrides, "breakers": d.breakers, "dead": d.dead, "schedules": d.schedules,
		"loops": d.loops, "outbox": d.outbox, "bulk": d.bulks,
	} {
		d.check(name, func() error { return check(ctx) })
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("doctor: %w", err)
	}
	slices.SortStableFunc(d.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity)),
			cmp.Compare(a.Check, b.Check), cmp.Compare(a.Target, b.Target), cmp.Compare(a.What, b.What))
	})
	return d.found, nil
}

// doctor is one examination.
type doctor struct {
	store Store
	now   time.Time // the store's
	found []Finding
}

func (d *doctor) check(name string, f func() error) {
	if err := f(); err != nil {
		d.add(Finding{
			Severity: SeverityWarning, Check: name, What: "could not be checked: " + err.Error(),
			Why: "what it would have found is unknown", Do: "mend what the message says, and ask again",
		})
	}
}

func (d *doctor) add(f Finding) { d.found = append(d.found, f) }

func (d *doctor) age(t time.Time) time.Duration { return d.now.Sub(t).Round(time.Second) }

// workers looks at processes and at what they serve.
func (d *doctor) workers(ctx context.Context) error {
	list, err := d.store.Workers(ctx)
	if err != nil {
		return err
	}
	live := 0
	for i := range list {
		w := &list[i]
		target := TargetWorker(w.ID)
		who := fmt.Sprintf("worker of %s on %s, pid %d,", w.Service, w.Host, w.PID)
		ttl := w.Left + d.now.Sub(w.Renewed)
		if w.Live() {
			live++
		}
		switch {
		case w.Live() && w.Left < ttl/3:
			d.add(Finding{SeverityWarning, "workers", target, fmt.Sprintf("%s has not renewed its lease for %v; %v are left", who, d.age(w.Renewed), w.Left.Round(time.Second)),
				"when it runs out, others take its jobs and run them again", "look whether the process hangs, is out of CPU, or can't reach the database"})
		case !w.Live() && w.Running > 0:
			d.add(Finding{SeverityWarning, "workers", target, fmt.Sprintf("%s was lost with %d jobs, which nobody has taken back yet", who, w.Running),
				"they run again once a live worker takes them back", "start a worker, or wait for the next rescue"})
		case !w.Live():
			d.add(Finding{SeverityNote, "workers", target, fmt.Sprintf("%s was lost %v ago", who, -w.Left.Round(time.Second)),
				"it was killed, crashed or was cut off: a stop in order leaves no such row", "look at its log, and at the system's"})
		}
	}
	lines, err := d.store.Backlog(ctx, doctorCap)
	if err != nil {
		return err
	}
	return d.backlog(lines, live)
}

// backlog looks at jobs that wait for workers.
func (d *doctor) backlog(lines []Backlog, live int) error {
	waiting := 0
	for _, l := range lines {
		if l.State == StateDead || l.State == StateRunning {
			continue
		}
		waiting += l.Count
		if live == 0 || len(l.Held) > 0 {
			continue
		}
		what := fmt.Sprintf("%s in queue %s", counted(l.Count, l.Capped, string(l.State)+" job"), l.Queue)
		late := l.State == StateReady && d.now.Sub(l.Oldest) > lateJobs
		switch {
		case !l.Served:
			f := Finding{SeverityWarning, "unserved", TargetKind(l.Kind), what + " that no live worker serves",
				"they wait until a build that has the kind serves that queue; nothing is lost", "start such a worker, or move them: jobctl move"}
			if late {
				f.Severity = SeverityError
				f.What += fmt.Sprintf(", due since %v", d.age(l.Oldest))
			}
			d.add(f)
		case late:
			d.add(Finding{SeverityWarning, "late", TargetKind(l.Kind), fmt.Sprintf("%s, the oldest due since %v, though workers serve it", what, d.age(l.Oldest)),
				"more comes in than is done, or a limit lets too little through", "add workers, or look at jobctl queues, limits show and stats"})
		}
	}
	if live == 0 && waiting > 0 {
		d.add(Finding{SeverityError, "workers", "", fmt.Sprintf("there is no live worker, and jobs wait: at least %d", waiting), "nothing runs, and no schedule fires", "start a worker"})
	}
	return nil
}

// overrides looks for what operators have set and perhaps forgotten.
func (d *doctor) overrides(ctx context.Context) error {
	list, err := d.store.Overrides(ctx)
	if err != nil {
		return err
	}
	for _, o := range list {
		known := overrideSettings[settingFamily(o.Setting)]
		holds := known.holds != nil && known.holds(o.Value)
		if !holds && o.Setting != SettingQuiet && o.Setting != SettingStop {
			continue
		}
		f := Finding{SeverityNote, "held", o.Target, fmt.Sprintf("%s=%s, set by %s %v ago", o.Setting, o.Value, o.By, d.age(o.SetAt)),
			"jobs that it holds wait", fmt.Sprintf("when its reason is gone: jobctl overrides clear '%s' '%s'", o.Target, o.Setting)}
		if o.Reason != "" {
			f.What += ": " + o.Reason
		}
		if holds && o.Until.IsZero() && d.age(o.SetAt) > oldHold {
			f.Severity = SeverityWarning
			f.What += "; it has no end"
		}
		d.add(f)
	}
	return nil
}

func (d *doctor) breakers(ctx context.Context) error {
	list, err := d.store.Breakers(ctx)
	if err != nil {
		return err
	}
	for _, b := range list {
		if b.State != BreakerClosed {
			d.add(Finding{SeverityWarning, "breakers", TargetKind(b.Kind), fmt.Sprintf("breaker %s for %v after %d failures in a row: %s", b.State, d.age(b.OpenedAt), b.Failures, b.Reason),
				"its jobs wait, and no attempt is charged, until one that is tried succeeds", "mend what fails; jobctl breakers reset tries at once"})
		}
	}
	return nil
}

// dead looks for dead jobs that wait for a decision.
func (d *doctor) dead(ctx context.Context) error {
	for _, look := range []struct {
		reason  DeadReason
		why, do string
	}{
		{DeadInDoubt, "only the other side knows whether their work was done", "ask it; jobctl retry --in-doubt ID if it was not"},
		{DeadUndecodable, "no build that runs can read their arguments", "deploy one that can: they run again by themselves"},
		{DeadQuarantined, "each has taken several workers down", "look at jobctl show ID before a retry"},
	} {
		jobs, err := d.store.Jobs(ctx, Filter{States: []State{StateDead}, Reason: look.reason, Limit: doctorListed})
		if err != nil {
			return err
		}
		if len(jobs) > 0 {
			d.add(Finding{SeverityWarning, "dead", "", fmt.Sprintf("%s, %s: jobctl list --dead-reason '%s'", counted(len(jobs), len(jobs) == doctorListed, "dead job"), look.reason, look.reason), look.why, look.do})
		}
	}
	return nil
}

// doctorListed is how many dead jobs of a reason the doctor counts: each comes with its arguments.
const doctorListed = 20

func (d *doctor) schedules(ctx context.Context) error {
	for f := (ScheduleFilter{Limit: doctorCap}); ; {
		list, err := d.store.Schedules(ctx, f)
		if err != nil {
			return err
		}
		for i := range list {
			d.schedule(&list[i])
		}
		if len(list) < f.Limit {
			return nil
		}
		f.After = list[len(list)-1].ScheduleID
	}
}

func (d *doctor) schedule(s *ScheduleInfo) {
	target := "schedule:" + s.Text()
	paused := s.Pause != nil && (s.Pause.Until.IsZero() || d.now.Before(s.Pause.Until))
	switch {
	case s.Error != "":
		d.add(Finding{SeverityError, "schedules", target, fmt.Sprintf("it has not fired for %v: %s", d.age(s.FailedAt), s.Error), "its runs are missed", "mend what the message says; it is tried each minute"})
	case !s.OrphanSince.IsZero():
		d.add(Finding{SeverityWarning, "schedules", target, fmt.Sprintf("no build declares it since %v", d.age(s.OrphanSince)), "it does not fire", "jobctl schedules remove, or deploy a build that declares it"})
	case paused:
		d.add(Finding{SeverityNote, "schedules", target, "paused by " + s.Pause.By, "it does not fire", "jobctl schedules resume"})
	case !s.Ended && !s.NextAt.IsZero() && d.age(s.NextAt) > lateSchedule:
		d.add(Finding{SeverityError, "schedules", target, fmt.Sprintf("due since %v, and nobody fires it", d.age(s.NextAt)), "its runs are late or missed", "start a worker that has its job"})
	}
}

func (d *doctor) loops(ctx context.Context) error {
	list, err := d.store.Loops(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		l := &list[i]
		target := "loop:" + l.Name
		switch {
		case l.Paused(d.now):
			d.add(Finding{SeverityNote, "loops", target, "paused by " + l.Pause.By, "it does not run", "jobctl loops resume"})
		case l.Failing >= failingLoop:
			d.add(Finding{SeverityWarning, "loops", target, fmt.Sprintf("has failed %d times in a row: %s", l.Failing, l.Error), "what it does is not done", "mend what the message says"})
		case !l.Live && d.age(l.NextAt) > lateSchedule:
			d.add(Finding{SeverityError, "loops", target, fmt.Sprintf("due since %v, and nobody runs it", d.age(l.NextAt)), "what it does is not done", "start a worker of its service"})
		}
	}
	return nil
}

func (d *doctor) outbox(ctx context.Context) error {
	list, err := d.store.OutboxBacklog(ctx, doctorCap)
	if err != nil {
		return err
	}
	for _, b := range list {
		f := Finding{SeverityWarning, "outbox", TargetQueue(b.Queue), fmt.Sprintf("%s on their way to another database, the oldest for %v", counted(b.Count, b.Capped, "parcel"), d.age(b.Oldest)),
			"their jobs don't run until they are relayed", "look whether a relay runs and reaches the queue's database: jobctl outbox list"}
		if b.Error != "" {
			f.What += ": " + b.Error
		}
		switch {
		case b.Refused > 0:
			f.Severity, f.Do = SeverityError, "mend what the message says, then jobctl outbox relay; or jobctl outbox drop"
		case d.age(b.Oldest) <= lateSchedule:
			continue
		}
		d.add(f)
	}
	return nil
}

func (d *doctor) bulks(ctx context.Context) error {
	list, err := d.store.Bulks(ctx, ID{}, 0)
	if err != nil {
		return err
	}
	for _, b := range list {
		if b.State == BulkOpen && b.Error != "" {
			d.add(Finding{SeverityWarning, "bulk", "bulk:" + b.ID.String(), fmt.Sprintf("%s by %s goes no further: %s", b.Operation.Do, b.Actor, b.Error), "it is tried again and again", "mend what the message says, or jobctl bulk cancel"})
		}
	}
	return nil
}

// counted says how many there are.
func counted(n int, capped bool, what string) string {
	switch {
	case capped:
		return fmt.Sprintf("at least %d %ss", n, what)
	case n == 1:
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
