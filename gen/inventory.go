package gen

import (
	"cmp"
	"io"
	"maps"
	"slices"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/directive"
	"github.com/jobgen/jobgen/gen/internal/graph"
	"github.com/jobgen/jobgen/gen/internal/lock"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// Diagnostic is a fault in the user's code.
type Diagnostic = diag.Diagnostic

// WriteText prints diagnostics as path:line:col: message [code], with paths
// relative to dir.
func WriteText(w io.Writer, dir string, ds []Diagnostic) error { return diag.WriteText(w, dir, ds) }

// WriteJSON prints one JSON object a line and diagnostic, with go vet's keys.
func WriteJSON(w io.Writer, dir string, ds []Diagnostic) error { return diag.WriteJSON(w, dir, ds) }

// Job is one job as jobgen list shows it.
type Job struct {
	Name      string            `json:"name"`
	Func      string            `json:"func"` // billing.Service.SendInvoice
	Stub      string            `json:"stub"` // EnqueueSendInvoice
	Package   string            `json:"package"`
	File      string            `json:"file"` // absolute
	Line      int               `json:"line"`
	Args      string            `json:"args,omitempty"`
	Result    string            `json:"result,omitempty"`
	Queue     string            `json:"queue"`
	Priority  int               `json:"priority"`
	Retry     int               `json:"retry"`
	Schedules []Schedule        `json:"schedules,omitempty"`
	Owner     string            `json:"owner,omitempty"` // the job's, else its queue's
	Risk      string            `json:"risk,omitempty"`  // the job's, else its queue's
	Once      string            `json:"once,omitempty"`
	Timeout   string            `json:"timeout,omitempty"`
	After     []string          `json:"after,omitempty"`      // jobs whose outcome it takes, by type
	Then      []string          `json:"then,omitempty"`       // jobs that follow its success, by annotation
	OnFailure []string          `json:"on_failure,omitempty"` // likewise its last failure
	Settings  map[string]string `json:"settings"`             // as declared, defaults of package and module included
}

// Schedule is one schedule of a job.
type Schedule struct {
	Name string `json:"name"`
	When string `json:"when"` // a cron expression, or every and an interval
	Zone string `json:"tz,omitempty"`
}

// Loop is one loop as jobgen list shows it.
type Loop struct {
	Name    string `json:"name"`
	Func    string `json:"func"` // billing.Service.Poll
	Package string `json:"package"`
	File    string `json:"file"` // absolute
	Line    int    `json:"line"`
	Every   string `json:"loop"`
	Timeout string `json:"timeout,omitempty"`
	Owner   string `json:"owner,omitempty"`
}

// Queue is one queue: a declared one, or one that jobs are in.
type Queue struct {
	Name       string
	Declared   bool
	Workers    int // 0: not declared
	Owner      string
	OnCall     string
	Escalation string
	Runbook    string
	SLO        string
	Risk       string
}

// inventory lists the jobs and the queues of a module.
func inventory(m *model.Module) ([]Job, []Queue) {
	queues := map[string]Queue{}
	for _, q := range m.Queues {
		d := declared(q.Declared)
		queues[q.Name] = Queue{
			Name: q.Name, Declared: true, Workers: q.Workers, Owner: d["owner"], OnCall: d["oncall"],
			Escalation: d["escalation"], Runbook: d["runbook"], SLO: graph.ShortDuration(d["slo"]), Risk: d["risk"],
		}
	}
	jobs := make([]Job, 0, len(m.Jobs))
	for _, j := range m.Jobs {
		queue, ok := queues[j.Settings.Queue]
		if !ok {
			queue.Name = j.Settings.Queue
			queues[queue.Name] = queue
		}
		set := declared(j.Settings.Declared)
		job := Job{
			Name: j.Name, Func: j.GoName(), Stub: j.Enqueue(), Package: j.Func.Path, File: j.Pos.File, Line: j.Pos.Line,
			Queue: queue.Name, Priority: j.Settings.Priority, Retry: j.Settings.Retry,
			Owner: cmp.Or(set["owner"], queue.Owner), Risk: cmp.Or(set["risk"], queue.Risk),
			Once: set["once"], Timeout: graph.ShortDuration(set["timeout"]), Settings: set,
		}
		for _, s := range j.Schedules {
			shown := Schedule{Name: s.Name, When: s.When(), Zone: s.Zone}
			if s.Cron != "" {
				shown.Zone = cmp.Or(s.Zone, "UTC")
			}
			job.Schedules = append(job.Schedules, shown)
		}
		if j.Args != nil {
			job.Args = j.Args.Go.String()
		}
		if j.Result != nil {
			job.Result = j.Result.Go.String()
		}
		for _, other := range m.Jobs {
			if slices.ContainsFunc(j.Parents, func(p *model.Parent) bool { return p.Takes(other) }) {
				job.After = append(job.After, other.Name)
			}
		}
		for _, n := range j.Next {
			if n.Failure {
				job.OnFailure = append(job.OnFailure, n.Job.Name)
			} else {
				job.Then = append(job.Then, n.Job.Name)
			}
		}
		jobs = append(jobs, job)
	}
	return jobs, slices.SortedFunc(maps.Values(queues), func(a, b Queue) int { return cmp.Compare(a.Name, b.Name) })
}

// loops lists the loops of a module.
func loops(m *model.Module) []Loop {
	var all []Loop
	for _, l := range m.Loops {
		set := declared(l.Declared)
		all = append(all, Loop{
			Name: l.Name, Func: l.GoName(), Package: l.Func.Path, File: l.Pos.File, Line: l.Pos.Line,
			Every: "every " + graph.ShortDuration(set["every"]), Timeout: graph.ShortDuration(set["timeout"]), Owner: set["owner"],
		})
	}
	return all
}

func declared(settings []model.Setting) map[string]string {
	set := map[string]string{}
	for _, s := range settings {
		set[s.Key] = s.Value
	}
	return set
}

// Explain describes a setting ("retry"), a diagnostic code ("JG003") or a rule
// of Breaking ("FIELD_SAME_KIND"). When there is no such topic, it returns "" and the nearest ones.
func Explain(topic string) (text string, near []string) {
	if text = directive.Explain(topic); text != "" {
		return text, nil
	}
	if text = diag.Explain(topic); text != "" {
		return text, nil
	}
	if text = lock.Explain(topic); text != "" {
		return text, nil
	}
	all := slices.Concat(directive.Names(), diag.Codes(), lock.Rules())
	if s := diag.Suggest(topic, all); s != "" {
		return "", []string{s}
	}
	return "", all
}

// SettingsTable returns the table of all settings in Markdown.
func SettingsTable() string { return directive.Markdown() }

// Suggest returns the candidate that a mistyped name most likely stands for,
// or "".
func Suggest(name string, candidates []string) string { return diag.Suggest(name, candidates) }
