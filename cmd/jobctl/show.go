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
		Usage:     "show everything about jobs: what they wait for, arguments, attempts with stacks, result; or batches",
		ArgsUsage: "ID…",
		Description: "Secret fields are replaced by " + jobrt.Redacted + ". Which fields are secret, the catalogue of kinds says, which workers\n" +
			"write when they start; of a kind that it has not got, neither arguments nor result are shown.\n" +
			fmt.Sprintf("Of a job's parents %d are printed, before all those that it still waits for, and of its log the last %d lines.", shownParents, shownLogs),
		Flags: []cli.Flag{
			jsonFlag(), &cli.BoolFlag{Name: "reveal", Usage: "show arguments and results as they are, secrets included"},
			&cli.BoolFlag{Name: "logs", Usage: "show all lines of the log that is kept"},
		},
		Action: func(c *cli.Context) error {
			ids, err := idOperands(c, aJob)
			if err != nil {
				return err
			}
			return withStore(c, bunstore.Check, func(s *bunstore.Store) error { return showJobs(c, s, ids) })
		},
	}
}

// What idOperands wants, and where to find it.
const (
	aJob   = "a job; jobctl list --limit 20 shows some"
	aBatch = "a batch; jobctl batches shows some"
)

// idOperands reads at least one id.
func idOperands(c *cli.Context, of string) ([]jobrt.ID, error) {
	args, err := operands(c)
	if err != nil {
		return nil, err
	}
	if len(args) == 0 {
		return nil, usagef("%s needs the id of %s", commandPath(c), of)
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
	missing, printed := false, 0
	for _, id := range ids {
		err := showOne(c, s, kinds, id, printed > 0)
		switch {
		case errors.Is(err, jobrt.ErrNotFound):
			fmt.Fprintf(c.App.ErrWriter, "jobctl: job %s not found: the id is unknown, or its retention has passed\n", id)
			missing = true
		case err != nil:
			return err
		default:
			printed++
		}
	}
	if missing {
		return errSaid
	}
	return nil
}

// showOne shows a job, or a batch; apart from what stands above, when asked.
func showOne(c *cli.Context, s jobrt.Store, kinds map[string]jobrt.KindInfo, id jobrt.ID, apart bool) error {
	job, err := s.Job(c.Context, id)
	if errors.Is(err, jobrt.ErrNotFound) {
		batch, err := s.Batch(c.Context, id)
		if err != nil {
			return err
		}
		return printBatch(c, s, batch, apart)
	}
	if err != nil {
		return err
	}
	shown := shownJob{JobInfo: job, Summary: summary(job)}
	if kind, known := kinds[job.Kind]; c.Bool("reveal") {
		shown.Args, shown.Result = job.Args, job.Result
	} else if known {
		shown.Args, shown.ArgsNote = redacted(job.Args, kind.RedactArgs)
		shown.Result, shown.ResultNote = redacted(job.Result, kind.RedactResult)
	} else {
		shown.ArgsNote, shown.ResultNote = noteIf(job.Args, unknownKind), noteIf(job.Result, unknownKind)
	}
	if shown.Logs, err = logLines(c, s, job.ID); err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c.App.Writer, shown)
	}
	if !job.Batch.IsZero() {
		if shown.batch, err = batchText(c, s, job.Batch); err != nil {
			return err
		}
	}
	if apart {
		fmt.Fprintln(c.App.Writer)
	}
	return shown.print(c.App.Writer, time.Now())
}

// summary is what an operator must know of a job that will not go on by itself, or not yet; mostly nothing.
func summary(job jobrt.JobInfo) string {
	switch {
	case job.State == jobrt.StateWaiting:
		return waitsFor(job.Parents)
	case job.Reason == jobrt.DeadInDoubt:
		return fmt.Sprintf("in doubt: an attempt was interrupted and may have done its work. Ask the other side. "+
			"If it has not happened, jobctl retry --in-doubt %s does it; if it has, a retry would do it twice", job.ID)
	}
	return ""
}

// batchText describes the batch of a job in a line.
func batchText(c *cli.Context, s jobrt.Store, id jobrt.ID) (string, error) {
	info, err := s.Batch(c.Context, id)
	switch {
	case errors.Is(err, jobrt.ErrNotFound):
		return id.String() + " (removed)", nil
	case err != nil:
		return "", err
	}
	b := shown(info)
	return fmt.Sprintf("%s (%s): %s, %d of %d done", id, dash(b.Name), b.state(), b.done(), b.Total), nil
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

// unknownKind is why arguments and results are not shown.
const unknownKind = "not shown: the catalogue has not got this kind, so its secrets are unknown (--reveal shows all)"

// shownJob is a job as show prints it.
type shownJob struct {
	jobrt.JobInfo
	Summary    string          `json:"summary,omitempty"`
	Args       json.RawMessage `json:"args,omitempty"`
	ArgsNote   string          `json:"args_note,omitempty"`
	Result     json.RawMessage `json:"result,omitempty"`
	ResultNote string          `json:"result_note,omitempty"`
	Logs       []jobrt.LogLine `json:"logs,omitempty"`
	batch      string
}

// print writes the job for people.
func (j shownJob) print(w io.Writer, now time.Time) error {
	if j.Summary != "" {
		fmt.Fprintln(w, oneLine(j.Summary))
	}
	t := newTable(w)
	row := newRow(t)
	row("id", "%s", j.ID)
	row("kind", "%s", j.Kind)
	row("state", "%s", stateText(j.JobInfo))
	row("queue", "%s, priority %d", j.Queue, j.Priority)
	row("failures", "%d, with %d retries allowed", j.Attempt, j.MaxRetries)
	if j.Crashes > 0 {
		row("crashes", "%d workers vanished with it", j.Crashes)
	}
	row("enqueued", "%s", at(j.CreatedAt, now))
	switch {
	case j.State != jobrt.StateWaiting:
		row("due", "%s", at(j.RunAt, now))
	case j.RunAt.After(now):
		row("due", "when its parents' conditions hold, not before %s", at(j.RunAt, now))
	}
	if !j.FinishedAt.IsZero() {
		row("ended", "%s", at(j.FinishedAt, now))
	}
	if j.Expires > 0 && j.State.Live() {
		row("expires", "unless it has started %s after it was due", span(j.Expires))
	}
	for _, o := range j.Held {
		row("held", "%s", heldBy(o, now))
	}
	if j.CancelRequested != "" {
		row("to be cancelled", "%s", j.CancelRequested)
	}
	if j.Progress != nil {
		row("progress", "%s", progressText(*j.Progress, now))
	}
	if j.batch != "" {
		row("batch", "%s", j.batch)
	}
	if j.LimitKey != "" {
		row("limit key", "%s", j.LimitKey)
	}
	if !j.Worker.IsZero() {
		row("worker", "%s", j.Worker)
	}
	if len(j.Tags) > 0 {
		row("tags", "%s", strings.Join(j.Tags, " "))
	}
	originRows(row, j.Origin)
	if j.Trace != "" {
		row("trace", "%s", j.Trace)
	}
	switch {
	case j.Error == "":
	case j.State == jobrt.StateCancelled, j.State == jobrt.StateSkipped, j.State == jobrt.StateExpired:
		row("because", "%s", j.Error)
	default:
		row("error", "%s", j.Error)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if err := printParents(w, j.State, j.Parents); err != nil {
		return err
	}
	printValue(w, "args", j.Args, j.ArgsNote)
	printValue(w, "result", j.Result, j.ResultNote)
	if err := printSteps(w, j.Steps, now); err != nil {
		return err
	}
	for _, a := range j.Attempts {
		j.printAttempt(w, a)
	}
	printLogs(w, j.Logs)
	return nil
}

// newRow returns a function that writes lines of a name and what it stands for.
func newRow(t io.Writer) func(name, format string, args ...any) {
	return func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, oneLine(fmt.Sprintf(format, args...)))
	}
}

func originRows(row func(name, format string, args ...any), o jobrt.Origin) {
	row("origin", "service %s, build %s, host %s", dash(o.Service), dash(o.Build), dash(o.Host))
	if !o.Parent.IsZero() {
		row("enqueued by", "job %s", o.Parent)
	}
	if o.Schedule != "" {
		by := ""
		if o.Manual {
			by = ", triggered by hand"
		}
		row("schedule", "%s, for %s%s", o.Schedule, stamp(o.Tick), by)
	}
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
