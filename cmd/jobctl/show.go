package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

func showCommand() *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "show everything about jobs: arguments, attempts with stacks, result",
		ArgsUsage: "ID…",
		Description: "Secret fields are replaced by " + jobrt.Redacted + ". Which fields are secret, the catalogue of kinds says, which workers\n" +
			"write when they start; of a kind that it has not got, neither arguments nor result are shown.",
		Flags: []cli.Flag{jsonFlag(), &cli.BoolFlag{Name: "reveal", Usage: "show arguments and results as they are, secrets included"}},
		Action: func(c *cli.Context) error {
			ids, err := idOperands(c)
			if err != nil {
				return err
			}
			return withStore(c, bunstore.Check, func(s *bunstore.Store) error { return showJobs(c, s, ids) })
		},
	}
}

// idOperands reads at least one id.
func idOperands(c *cli.Context) ([]jobrt.ID, error) {
	args, err := operands(c)
	if err != nil {
		return nil, err
	}
	if len(args) == 0 {
		return nil, usagef("%s needs the id of a job; jobctl list --limit 20 shows some", c.Command.Name)
	}
	var ids []jobrt.ID
	for _, a := range args {
		id, err := jobrt.ParseID(a)
		if err != nil {
			return nil, usagef("%v", err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func showJobs(c *cli.Context, s jobrt.Store, ids []jobrt.ID) error {
	kinds, err := catalogue(c, s)
	if err != nil {
		return err
	}
	missing := false
	for i, id := range ids {
		job, err := s.Job(c.Context, id)
		if errors.Is(err, jobrt.ErrNotFound) {
			fmt.Fprintf(c.App.ErrWriter, "jobctl: job %s not found: the id is unknown, or its retention has passed\n", id)
			missing = true
			continue
		}
		if err != nil {
			return err
		}
		shown := shownJob{JobInfo: job}
		if kind, known := kinds[job.Kind]; c.Bool("reveal") {
			shown.Args, shown.Result = job.Args, job.Result
		} else if known {
			shown.Args, shown.ArgsNote = redacted(job.Args, kind.RedactArgs)
			shown.Result, shown.ResultNote = redacted(job.Result, kind.RedactResult)
		} else {
			note := "not shown: the catalogue has not got this kind, so its secrets are unknown (--reveal shows all)"
			shown.ArgsNote, shown.ResultNote = noteIf(job.Args, note), noteIf(job.Result, note)
		}
		if c.Bool("json") {
			err = printJSON(c.App.Writer, shown)
		} else {
			if i > 0 {
				fmt.Fprintln(c.App.Writer)
			}
			err = shown.print(c.App.Writer, time.Now())
		}
		if err != nil {
			return err
		}
	}
	if missing {
		return errSaid
	}
	return nil
}

// catalogue returns the kinds that workers have declared.
func catalogue(c *cli.Context, s jobrt.Store) (map[string]jobrt.KindInfo, error) {
	list, err := s.Kinds(c.Context)
	if err != nil {
		return nil, err
	}
	kinds := make(map[string]jobrt.KindInfo)
	for _, k := range list {
		kinds[k.Kind] = k
	}
	return kinds, nil
}

func redacted(data []byte, redact func([]byte) ([]byte, error)) (shown json.RawMessage, note string) {
	if data == nil {
		return nil, ""
	}
	out, err := redact(data)
	if err != nil {
		return nil, "not shown: not JSON (--reveal shows all)"
	}
	return out, ""
}

func noteIf(data []byte, note string) string {
	if data == nil {
		return ""
	}
	return note
}

// shownJob is a job as show prints it.
type shownJob struct {
	jobrt.JobInfo
	Args       json.RawMessage `json:"args,omitempty"`
	ArgsNote   string          `json:"args_note,omitempty"`
	Result     json.RawMessage `json:"result,omitempty"`
	ResultNote string          `json:"result_note,omitempty"`
}

// print writes the job for people.
func (j shownJob) print(w io.Writer, now time.Time) error {
	at := func(t time.Time) string { return fmt.Sprintf("%s (%s)", stamp(t), when(t, now)) }
	t := newTable(w)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, oneLine(fmt.Sprintf(format, args...)))
	}
	row("id", "%s", j.ID)
	row("kind", "%s", j.Kind)
	row("state", "%s", stateText(j.JobInfo))
	row("queue", "%s, priority %d", j.Queue, j.Priority)
	row("failures", "%d, with %d retries allowed", j.Attempt, j.MaxRetries)
	if j.Crashes > 0 {
		row("crashes", "%d workers vanished with it", j.Crashes)
	}
	row("enqueued", "%s", at(j.CreatedAt))
	row("due", "%s", at(j.RunAt))
	if !j.FinishedAt.IsZero() {
		row("ended", "%s", at(j.FinishedAt))
	}
	if !j.Worker.IsZero() {
		row("worker", "%s", j.Worker)
	}
	if len(j.Tags) > 0 {
		row("tags", "%s", strings.Join(j.Tags, " "))
	}
	row("origin", "service %s, build %s, host %s", dash(j.Origin.Service), dash(j.Origin.Build), dash(j.Origin.Host))
	if !j.Origin.Parent.IsZero() {
		row("parent", "%s", j.Origin.Parent)
	}
	if j.Error != "" {
		row("error", "%s", j.Error)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	printValue(w, "args", j.Args, j.ArgsNote)
	printValue(w, "result", j.Result, j.ResultNote)
	for _, a := range j.Attempts {
		j.printAttempt(w, a)
	}
	return nil
}

func (j shownJob) printAttempt(w io.Writer, a jobrt.AttemptInfo) {
	fmt.Fprintf(w, "attempt %d %s at %s", a.Attempt, oneLine(a.Outcome), stamp(a.EndedAt))
	if a.Ran > 0 {
		fmt.Fprintf(w, " after %s", span(a.Ran))
	}
	if !a.Worker.IsZero() {
		fmt.Fprintf(w, " on worker %s", a.Worker)
	}
	fmt.Fprintf(w, "\n%s\n", indent(a.Error))
	if a.Stack != "" {
		fmt.Fprintln(w, indent(a.Stack))
	}
}

// printValue writes JSON, or why it is not shown, below its name.
func printValue(w io.Writer, name string, data []byte, note string) {
	switch {
	case note != "":
		fmt.Fprintf(w, "%s\n%s\n", name, indent(note))
	case data != nil:
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, data, "", "  "); err != nil {
			pretty.Reset()
			pretty.Write(data)
		}
		fmt.Fprintf(w, "%s\n%s\n", name, indent(pretty.String()))
	}
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(plain(strings.TrimRight(s, "\n")), "\n", "\n  ")
}
