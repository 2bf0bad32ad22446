package main

import (
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
)

const (
	// shownLogs is how many lines of a job's log are printed, the last ones, unless all are asked for.
	shownLogs = 20
	// logPage is how many lines one question to the store returns.
	logPage = 1000
)

// logLines returns the last lines of a job's log, or all.
func logLines(c *cli.Context, s jobrt.Store, id jobrt.ID) ([]jobrt.LogLine, error) {
	var lines []jobrt.LogLine
	for place := (jobrt.LogPlace{}); ; {
		page, err := s.Logs(c.Context, id, place, logPage)
		if err != nil {
			return nil, err
		}
		lines = append(lines, page...)
		if !c.Bool("logs") {
			lines = lines[max(len(lines)-shownLogs, 0):]
		}
		if len(page) < logPage {
			return lines, nil
		}
		place = page[len(page)-1].LogPlace
	}
}

func printLogs(w io.Writer, lines []jobrt.LogLine) {
	if len(lines) > 0 {
		fmt.Fprintln(w, "log")
	}
	for _, l := range lines {
		fmt.Fprintf(w, "  %s attempt %d %s %s", stamp(l.At), l.Attempt, l.Level, oneLine(l.Message))
		if len(l.Attrs) > 0 {
			fmt.Fprintf(w, " %s", oneLine(string(l.Attrs)))
		}
		fmt.Fprintln(w)
	}
}

// printSteps lists finished steps. Results are not shown: nothing says what of them is secret.
func printSteps(w io.Writer, steps []jobrt.StepInfo, now time.Time) error {
	if len(steps) == 0 {
		return nil
	}
	fmt.Fprintln(w, "steps")
	t := newTable(w)
	for _, s := range steps {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", oneLine(s.Name), when(s.At, now), plural(s.Size, "byte"))
	}
	return t.Flush()
}

func progressText(p jobrt.ProgressInfo, now time.Time) string {
	text := fmt.Sprintf("%d done", p.Done)
	if p.Total > 0 {
		text = fmt.Sprintf("%d of %d (%d%%)", p.Done, p.Total, int(100*float64(p.Done)/float64(p.Total)))
	}
	if p.Message != "" {
		text += ": " + p.Message
	}
	return text + ", " + when(p.At, now)
}

// heldBy says what keeps a job from being claimed, who wants it so, why, and until when.
func heldBy(o jobrt.Override, now time.Time) string {
	text := settingText(o) + " by " + o.By
	if !o.Until.IsZero() {
		text += ", ends " + when(o.Until, now)
	}
	if o.Reason != "" {
		text += ": " + o.Reason
	}
	return text
}
