package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// manyQueues is how many queues operators can tell apart at night. More than
// these are most often priorities or tenants in disguise.
const manyQueues = 6

// Policy checks what a module that is right in itself lacks for operation:
// protection of work that must not happen twice, and people who answer for
// queues. Warnings don't keep code from being generated.
func Policy(m *model.Module) (faults, warnings []diag.Diagnostic) {
	p := policy{queues: map[string]*model.Queue{}}
	for _, q := range m.Queues {
		p.queues[q.Name] = q
		if value(q.Declared, "owner") == "" {
			p.fault("JG098", q.Pos, "queue "+q.Name+" has no owner; add owner=, so that somebody answers when it is late")
		}
	}
	risky := map[string]bool{}
	for _, q := range m.Queues {
		if atRisk(value(q.Declared, "risk")) {
			p.riskyQueue(q.Name, value(q.Declared, "risk"), q.Pos)
			risky[q.Name] = true
		}
	}
	for _, j := range m.Jobs {
		if risk, notes := p.risk(j); risk != "" {
			p.riskyJob(j, risk, notes)
			if name := j.Settings.Queue; !risky[name] {
				p.riskyQueue(name, risk, j.Pos)
				risky[name] = true
			}
		}
	}
	p.count(m)
	return diag.Sort(p.faults), p.warnings
}

type policy struct {
	queues           map[string]*model.Queue
	faults, warnings []diag.Diagnostic
}

func (p *policy) fault(code string, pos model.Pos, message string, notes ...diag.Note) {
	p.faults = append(p.faults, diag.Diagnostic{Code: code, Pos: pos, Message: message, Related: notes})
}

// risk returns what a second run of j would damage, and where that is said:
// the job's own word counts before its queue's.
func (p *policy) risk(j *model.Job) (risk string, notes []diag.Note) {
	if own := value(j.Settings.Declared, "risk"); own != "" {
		if !atRisk(own) {
			return "", nil
		}
		return own, nil
	}
	if q := p.queues[j.Settings.Queue]; q != nil && atRisk(value(q.Declared, "risk")) {
		return value(q.Declared, "risk"), []diag.Note{{Pos: q.Pos, Message: "the risk of queue " + q.Name + " holds for its jobs; risk=none takes one out"}}
	}
	return "", nil
}

func (p *policy) riskyJob(j *model.Job, risk string, notes []diag.Note) {
	if value(j.Settings.Declared, "once") == "" {
		text := j.Func.Name + " can damage " + risk + " when it runs twice, and every job may: add once= with the fields that name the work"
		if j.Args == nil {
			text = j.Func.Name + " can damage " + risk + " when it runs twice, and every job may: give it arguments that name the work, and once="
		}
		text += ", or once=self when it calls jobrt.Once itself"
		if j.Settings.Unique != nil {
			text += "; unique= stops a second enqueue, not a second run"
		}
		p.fault("JG095", j.Pos, text, notes...)
	}
	if !slices.ContainsFunc(j.Settings.Declared, func(s model.Setting) bool { return (s.Key == "retry" || s.Key == "delays") && !s.ForAll }) {
		p.fault("JG096", j.Pos, fmt.Sprintf("%s can damage %s and has no retry= of its own; say how often it may be tried (the default is %d)", j.Func.Name, risk, j.Settings.Retry), notes...)
	}
}

// riskyQueue asks for what somebody needs at night when jobs that can do
// damage fail.
func (p *policy) riskyQueue(name, risk string, pos model.Pos) {
	q := p.queues[name]
	if q == nil {
		p.fault("JG097", pos, fmt.Sprintf("queue %q has jobs that can damage %s: declare it, as in //jobqueue:%s owner=… oncall=… runbook=…", name, risk, name))
		return
	}
	var missing []string
	for _, key := range []string{"oncall", "runbook"} { // the owner is JG098's
		if value(q.Declared, key) == "" {
			missing = append(missing, key+"=")
		}
	}
	if missing != nil {
		p.fault("JG097", q.Pos, "queue "+name+" has jobs that can damage "+risk+"; add "+strings.Join(missing, " and "))
	}
}

// count warns of more queues than people can watch.
func (p *policy) count(m *model.Module) {
	first := map[string]model.Pos{}
	for _, j := range m.Jobs {
		if _, ok := first[j.Settings.Queue]; !ok {
			first[j.Settings.Queue] = j.Pos
		}
	}
	for _, q := range m.Queues {
		first[q.Name] = q.Pos
	}
	if len(first) <= manyQueues {
		return
	}
	var names []string
	for name := range first {
		names = append(names, name)
	}
	slices.Sort(names)
	at := slices.MinFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(first[a].File, first[b].File), cmp.Compare(first[a].Offset, first[b].Offset))
	})
	p.warnings = append(p.warnings, diag.Diagnostic{Code: "JG099", Warning: true, Pos: first[at], Message: fmt.Sprintf(
		"%d queues (%s) are more than people keep apart; a queue is for work that needs its own workers, priority= orders work within one", len(names), strings.Join(names, " "))})
}

func atRisk(risk string) bool { return risk != "" && risk != "none" }

func value(settings []model.Setting, key string) string {
	for _, s := range settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
