package check

import (
	"slices"
	"strconv"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/load"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// continuations resolves then= and on-failure= of a job, once all jobs are known.
func (c *checker) continuations(h *handler) {
	for _, key := range []string{"then", "on-failure"} {
		if h.settings.has(key) == 0 {
			continue
		}
		s := h.settings[key].Setting
		var seen []*model.Job
		for i, v := range s.Values {
			to := c.continuation(h, s, i, v.Text)
			if to == nil {
				continue
			}
			if slices.Contains(seen, to) {
				c.valueFault("JG073", s, i, key+" names "+to.GoName()+" twice")
				continue
			}
			seen = append(seen, to)
			next, why := fitThen(h.job, to)
			if key == "on-failure" {
				next, why = fitFailure(h.job, to)
			}
			if u := to.Settings.Unique; u != nil && (u.Replace || u.Debounce > 0) {
				why = "it replaces the job that holds its unique key, and so cannot wait for another"
			}
			if why != "" {
				c.valueFault("JG074", s, i, key+": "+to.GoName()+" can't follow "+h.job.GoName()+": "+why,
					diag.Note{Pos: to.Pos, Message: to.GoName() + " " + takes(to)})
				continue
			}
			if next.Slot != model.SlotNone && key == "then" {
				h.job.Taken = true
			}
			h.job.Next = append(h.job.Next, next)
		}
	}
}

// continuation returns the job that a value names, or nil when there is none or it is faulty itself.
func (c *checker) continuation(h *handler, s *load.Setting, i int, name string) *model.Job {
	found := c.src.JobsNamed(h.f, name)
	switch {
	case len(found) > 1:
		c.valueFault("JG073", s, i, s.Key.Name+": "+name+" is a job of "+found[0].Package.Path+" and of "+found[1].Package.Path+
			"; enqueue it from the handler instead, or rename one of the packages")
	case len(found) == 1 && isLoop(found[0]):
		c.valueFault("JG073", s, i, s.Key.Name+": "+name+" is a loop, which nobody can enqueue")
	case len(found) == 1:
		return c.jobs[found[0]]
	case c.src.Declares(h.f, name), c.src.DeclaresElsewhere(name):
		c.valueFault("JG073", s, i, s.Key.Name+": "+name+" is not a job; put //job:handler above it")
	default:
		near := c.src.FuncNames(h.f)
		for _, p := range c.src.Packages {
			for _, f := range p.Funcs {
				near = append(near, c.goName(f))
			}
		}
		slices.Sort(near)
		meant := diag.Suggest(name, near)
		if j := c.jobCalled(name); j != nil {
			meant = j.GoName()
		}
		hint := ""
		if meant != "" {
			hint = "; did you mean " + strconv.Quote(meant) + "?"
		}
		d := c.valueFault("JG052", s, i, s.Key.Name+": "+name+" is not a function of package "+h.f.Package.Name+hint)
		if meant != "" {
			d.Fixes = s.ValueFix(i, meant)
		}
	}
	return nil
}

// jobCalled returns the only job whose function has that name, wherever it is declared, or whose stub= or name= it is.
func (c *checker) jobCalled(name string) *model.Job {
	var found *model.Job
	for _, h := range c.handlers {
		j := h.job
		_, stored, _ := strings.Cut(j.Name, "/")
		if j.Func.Name != name && j.Stub != name && stored != name && j.Name != name {
			continue
		}
		if found != nil {
			return nil
		}
		found = j
	}
	return found
}

// goName returns how a Go reader calls an annotated function.
func (c *checker) goName(f *load.Func) string {
	if j := c.jobs[f]; j != nil {
		return j.GoName()
	}
	return f.Package.Name + "." + f.Decl.Name.Name
}

func (c *checker) valueFault(code string, s *load.Setting, i int, message string, notes ...diag.Note) *diag.Diagnostic {
	d := c.report(code, s.ValuePos(i), message, notes...)
	d.End = s.ValueEnd(i)
	return d
}

// fitThen says what a job that runs after the success of another takes from it, or why it can't run then.
func fitThen(from, to *model.Job) (*model.Next, string) {
	next := &model.Next{Job: to}
	switch {
	case len(to.Parents) == 0 && to.Args == nil:
		return next, ""
	case len(to.Parents) == 0 && to.Args == from.Result:
		if to.Settings.Unique != nil {
			return nil, "its unique= needs the arguments when it is enqueued, and the result is not known then"
		}
		if to.Settings.LimitKey != nil {
			return nil, "the key of its limits needs the arguments when it is enqueued, and the result is not known then"
		}
		next.Slot = model.SlotArgs
		return next, ""
	case len(to.Parents) == 0 && to.Args == from.Args:
		next.SameArgs = true
		return next, ""
	case len(to.Parents) == 1 && to.Parents[0].Kind == model.ParentValue && to.Parents[0].Type == from.Result && (to.Args == nil || to.Args == from.Args):
		next.Slot, next.SameArgs = model.SlotParent, to.Args != nil
		return next, ""
	}
	result := "nothing"
	fits := "no arguments"
	if from.Result != nil {
		result = from.Result.Go.String()
		fits += ", or " + result + " as its arguments or as its only parent"
	}
	if from.Args != nil {
		fits += ", or the arguments of " + from.GoName() + ", " + from.Args.Go.String()
		if from.Result != nil {
			fits += ", with or without that parent"
		}
	}
	return nil, from.GoName() + " returns " + result + "; what fits takes " + fits
}

// fitFailure says what a job that runs after the failure of another takes from it, or why it can't run then.
func fitFailure(from, to *model.Job) (*model.Next, string) {
	next := &model.Next{Job: to, Failure: true, SameArgs: to.Args != nil}
	alone := len(to.Parents) == 1 && to.Parents[0].Kind == model.ParentFailure
	if (to.Args == nil || to.Args == from.Args) && (len(to.Parents) == 0 || alone) {
		if alone {
			next.Slot = model.SlotParent
		}
		return next, ""
	}
	fits := "nothing"
	if from.Args != nil {
		fits += " or the arguments of " + from.GoName() + ", " + from.Args.Go.String()
	}
	return nil, "what fits takes " + fits + ", and jobrt.Failure or no parent"
}

// takes words the parameters of a job.
func takes(j *model.Job) string {
	var what []string
	if j.Args != nil {
		what = append(what, j.Args.Go.String())
	}
	for _, p := range j.Parents {
		name := "jobrt.None"
		if p.Type != nil {
			name = p.Type.Go.String()
		}
		switch {
		case p.Kind == model.ParentFailure:
			name = "jobrt.Failure"
		case p.Kind.Ends():
			name = "jobrt.Outcome[" + name + "]"
		}
		if p.Kind.Many() {
			name = "[]" + name
		}
		what = append(what, name)
	}
	switch len(what) {
	case 0:
		return "takes nothing"
	case 1:
		return "takes " + what[0]
	}
	return "takes " + strings.Join(what[:len(what)-1], ", ") + " and " + what[len(what)-1]
}

// nextCycles reports jobs that follow themselves through then= and on-failure=, each cycle once.
func (c *checker) nextCycles() {
	const (
		open = iota + 1
		done
	)
	state := map[*model.Job]int{}
	var path []*handler
	byJob := map[*model.Job]*handler{}
	for _, h := range c.handlers {
		byJob[h.job] = h
	}
	var walk func(h *handler)
	walk = func(h *handler) {
		state[h.job] = open
		path = append(path, h)
		for _, n := range h.job.Next {
			switch state[n.Job] {
			case 0:
				walk(byJob[n.Job])
			case open:
				c.nextCycle(path[slices.IndexFunc(path, func(h *handler) bool { return h.job == n.Job }):])
			}
		}
		path = path[:len(path)-1]
		state[h.job] = done
	}
	for _, h := range c.handlers {
		if state[h.job] == 0 {
			walk(h)
		}
	}
}

func (c *checker) nextCycle(cycle []*handler) {
	text := cycle[0].job.GoName()
	var notes []diag.Note
	for i, h := range cycle {
		to := cycle[(i+1)%len(cycle)].job
		key := "then"
		for _, n := range h.job.Next {
			if n.Job == to && n.Failure {
				key = "on-failure"
			}
		}
		text += " is followed by " + to.GoName()
		notes = append(notes, diag.Note{Pos: h.settings[key].Pos, Message: key + "= of " + h.job.GoName()})
	}
	c.report("JG075", cycle[0].f.At, "continuations go in a circle: "+text, notes...)
}
