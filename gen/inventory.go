package gen

import (
	"io"
	"slices"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/directive"
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
	Name     string            `json:"name"`
	Func     string            `json:"func"` // billing.Service.SendInvoice
	Stub     string            `json:"stub"` // EnqueueSendInvoice
	Package  string            `json:"package"`
	File     string            `json:"file"` // absolute
	Line     int               `json:"line"`
	Args     string            `json:"args,omitempty"`
	Result   string            `json:"result,omitempty"`
	Queue    string            `json:"queue"`
	Priority int               `json:"priority"`
	Retry    int               `json:"retry"`
	Settings map[string]string `json:"settings"` // as declared, defaults of package and module included
}

func inventory(m *model.Module) []Job {
	jobs := make([]Job, 0, len(m.Jobs))
	for _, j := range m.Jobs {
		job := Job{
			Name: j.Name, Func: j.GoName(), Stub: "Enqueue" + j.Stub, Package: j.Func.Path, File: j.Pos.File, Line: j.Pos.Line,
			Queue: j.Settings.Queue, Priority: j.Settings.Priority, Retry: j.Settings.Retry, Settings: map[string]string{},
		}
		if j.Args != nil {
			job.Args = j.Args.Go.String()
		}
		if j.Result != nil {
			job.Result = j.Result.Go.String()
		}
		for _, s := range j.Settings.Declared {
			job.Settings[s.Key] = s.Value
		}
		jobs = append(jobs, job)
	}
	return jobs
}

// Explain describes a setting ("retry") or a diagnostic code ("JG003"). When
// there is no such topic, it returns "" and the nearest ones.
func Explain(topic string) (text string, near []string) {
	if text = directive.Explain(topic); text != "" {
		return text, nil
	}
	if text = diag.Explain(topic); text != "" {
		return text, nil
	}
	all := slices.Concat(directive.Names(), diag.Codes())
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
