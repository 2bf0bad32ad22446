package check

import (
	"cmp"
	"errors"
	"go/types"
	"slices"
	"time"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/directive"
	"github.com/jobgen/jobgen/gen/internal/load"
	"github.com/jobgen/jobgen/gen/internal/model"
	"github.com/jobgen/jobgen/internal/timetable"
)

// schedules fills in when the clock starts a job.
func (c *checker) schedules(f *load.Func, j *model.Job, m merged) {
	named := map[string]model.Pos{}
	add := func(s *model.Schedule, pos model.Pos) {
		if other, twice := named[s.Name]; twice {
			c.report("JG018", pos, f.Decl.Name.Name+" has two schedules called "+s.Name+"; give one of them another name=",
				diag.Note{Pos: other, Message: "the other is here"})
			return
		}
		named[s.Name] = pos
		j.Schedules = append(j.Schedules, s)
	}
	if m.has("cron") > 0 || m.has("every") > 0 {
		add(newSchedule(m, model.DefaultSchedule), m.pos("cron", m.pos("every", f.At)))
	}
	for i := range f.Schedules {
		line := &f.Schedules[i]
		m := c.mergeLine(f, line)
		if !f.Faulty {
			if m.has("cron") == 0 && m.has("every") == 0 {
				c.report("JG007", line.Pos, "a schedule needs cron= or every=")
				continue
			}
			c.timing(m)
		}
		add(newSchedule(m, cmp.Or(m.text("name"), model.DefaultSchedule)), m.pos("name", line.Pos))
	}
}

// mergeLine returns the settings of a //job:schedule line, with the defaults
// that a schedule can take.
func (c *checker) mergeLine(f *load.Func, line *load.Schedule) merged {
	m := c.defaultsFor(f)
	for key := range m {
		if directive.Lookup(directive.InSchedule, key) == nil {
			delete(m, key)
		}
	}
	for i := range line.Settings {
		m[line.Settings[i].Key.Name] = mergedSetting{&line.Settings[i], jobLevel}
	}
	return m
}

func newSchedule(m merged, name string) *model.Schedule {
	s := &model.Schedule{
		Name: name, Cron: m.text("cron"), Every: m.duration("every"), Zone: m.text("tz"), From: m.text("from"), Until: m.text("until"),
		Misfire: m.text("misfire"), Overlap: m.text("overlap"), Jitter: m.duration("jitter"), Count: m.number("count", 0), Calendars: m.list("calendar"),
	}
	if m.has("grace") > 0 {
		grace := m.duration("grace")
		s.Grace = &grace
	}
	return s
}

// timing reports settings of a schedule that contradict or need each other, or
// that leave nothing of it.
func (c *checker) timing(m merged) {
	c.needs(m, "singleton", "every")
	c.needs(m, "tz", "cron", "from", "until", "calendar")
	for _, key := range []string{"misfire", "grace", "overlap", "jitter", "from", "until", "count", "calendar"} {
		c.needs(m, key, "cron", "every")
	}
	c.excludes(m, "every", "cron", "a schedule has one of them; more schedules are //job:schedule lines")
	if (m.has("cron") > 0) == (m.has("every") > 0) {
		return
	}
	spec := timetable.Spec{Cron: m.text("cron"), Every: m.duration("every"), Zone: m.text("tz")}
	read := func(key string) (at time.Time) {
		if m.has(key) > 0 {
			at, _ = timetable.Moment(m.text(key), spec.Zone, key == "until") // package directive has read it before
		}
		return at
	}
	spec.From, spec.Until = read("from"), read("until")
	switch _, err := timetable.Parse(spec); {
	case err == nil:
	case !spec.From.IsZero() && !spec.Until.IsZero() && !spec.From.Before(spec.Until):
		c.report("JG007", m["until"].Pos, "the schedule ends before it starts", diag.Note{Pos: m["from"].Pos, Message: "from is set here"})
	case errors.Is(err, timetable.ErrNever):
		c.report("JG007", m.pos("until", m.pos("cron", m.pos("every", model.Pos{}))), "the schedule never fires before it ends")
	default:
		c.report("JG007", m.pos("cron", m.pos("every", model.Pos{})), err.Error())
	}
}

// clock refuses arguments and parents for jobs that start by the clock: nobody
// would pass them.
func (c *checker) clock(f *load.Func, j *model.Job, args *types.Named) {
	if args == nil && len(j.Parents) == 0 {
		return
	}
	what, takes := "arguments", ""
	if args != nil {
		takes = "it takes " + c.types.short(args)
	} else {
		what, takes = "outcomes of other jobs", "it has a parent parameter"
	}
	var at []model.Pos
	for _, s := range f.Settings {
		if n := s.Key.Name; n == "cron" || n == "every" {
			at = append(at, s.Pos)
		}
	}
	for _, s := range f.Schedules {
		at = append(at, s.Pos)
	}
	if len(at) == 0 {
		return
	}
	hint := ""
	if args != nil && len(j.Parents) == 0 {
		hint = "; schedule it from data, with Schedule" + j.Stub
	}
	c.report("JG017", at[0], f.Decl.Name.Name+" starts by the clock and can't take "+what+": nobody would pass them"+hint,
		diag.Note{Pos: f.Pos, Message: takes})
}

// isLoop reports whether a function is annotated as a loop.
func isLoop(f *load.Func) bool {
	return slices.ContainsFunc(f.Settings, func(s load.Setting) bool { return s.Key.Name == "singleton" })
}

// ofLoops are the settings that mean something to a loop.
var ofLoops = []string{"handler", "name", "every", "singleton", "timeout", "owner"}

// loop builds one loop, or returns nil when its declaration can't be one.
func (c *checker) loop(service string, f *load.Func) *model.Loop {
	before := len(c.diags)
	var j model.Job
	c.placement(f)
	c.receiver(f, &j)
	m := c.merge(f)
	for _, s := range f.Settings {
		if !slices.Contains(ofLoops, s.Key.Name) && !(s.Key.Name == "cron" && m.has("every") > 0) {
			c.report("JG007", s.Pos, s.Key.Name+" does nothing for a loop, which is no job; a loop knows every, timeout, name and owner")
		}
	}
	for _, s := range f.Schedules {
		c.report("JG007", s.Pos, f.Decl.Name.Name+" is a loop and has no other schedules")
	}
	if !f.Faulty {
		c.needs(m, "singleton", "every")
		c.excludes(m, "every", "cron", "a loop has an interval")
	}
	if f.Object == nil {
		c.unread = true
		return nil
	}
	if sig := f.Object.Signature(); sig.Params().Len() != 1 || !isNamed(types.Unalias(sig.Params().At(0).Type()), "context", "Context") ||
		sig.Results().Len() != 1 || !types.Identical(sig.Results().At(0).Type(), types.Universe.Lookup("error").Type()) {
		c.report("JG019", f.Pos, f.Decl.Name.Name+" is a loop, so it is func(context.Context) error: it is given nothing, and nobody takes its result")
	}
	if len(c.diags) > before {
		return nil
	}
	l := &model.Loop{
		Func:     model.Name{Path: f.Package.Path, Pkg: f.Package.Name, Name: f.Decl.Name.Name},
		Receiver: j.Receiver, Every: m.duration("every"), Timeout: m.duration("timeout"), Pos: f.Pos,
	}
	l.Name = service + "/" + cmp.Or(m.text("name"), l.GoName())
	for _, key := range ofLoops {
		if set, ok := m[key]; ok {
			l.Declared = append(l.Declared, model.Setting{Key: key, Value: set.Text(), ForAll: m.has(key) == moduleLevel})
		}
	}
	slices.SortFunc(l.Declared, func(a, b model.Setting) int { return cmp.Compare(a.Key, b.Key) })
	c.loops[f] = l
	return l
}
