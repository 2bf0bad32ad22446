package storetest

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// noted is when the lines of the cases were written.
var noted = time.Date(2026, 3, 4, 5, 6, 7, 890123000, time.UTC)

// logLine is line seq of a claim.
func logLine(r jobrt.Ref, seq int, message string) jobrt.LogLine {
	return jobrt.LogLine{
		LogPlace: jobrt.LogPlace{LeaseSeq: r.LeaseSeq, Seq: seq}, Attempt: 1, At: noted, Level: slog.LevelInfo, Message: message,
	}
}

func logs(r jobrt.Ref, lines ...jobrt.LogLine) jobrt.Note { return jobrt.Note{Ref: r, Lines: lines} }

// says is the seq-th progress of a claim.
func says(r jobrt.Ref, seq, done int64, message string) jobrt.Note {
	return jobrt.Note{Ref: r, Progress: &jobrt.ProgressInfo{Seq: seq, Done: done, Total: 100, Message: message}}
}

func (e *env) note(batch ...jobrt.Note) {
	e.Helper()
	if err := e.s.Note(e.ctx, batch); err != nil {
		e.Fatalf("note: %v", err)
	}
}

// logOf returns a page of a job's log.
func (e *env) logOf(id jobrt.ID, behind jobrt.LogPlace, limit int) []jobrt.LogLine {
	e.Helper()
	lines, err := e.s.Logs(e.ctx, id, behind, limit)
	if err != nil {
		e.Fatalf("logs: %v", err)
	}
	return lines
}

// wantLog compares a job's whole log.
func (e *env) wantLog(id jobrt.ID, want ...jobrt.LogLine) {
	e.Helper()
	opts := []cmp.Option{cmpopts.EquateEmpty(), cmpopts.IgnoreFields(jobrt.LogLine{}, "At")}
	if diff := cmp.Diff(want, e.logOf(id, jobrt.LogPlace{}, 0), opts...); diff != "" {
		e.Fatalf("log of job %s (-want +got):\n%s", id, diff)
	}
}

// wantProgress compares how far a job is; done is negative for nothing.
func (e *env) wantProgress(id jobrt.ID, done int64, message string) {
	e.Helper()
	p := e.job(id).Progress
	switch {
	case p == nil:
		if done >= 0 {
			e.Fatalf("job %s has no progress, want %d", id, done)
		}
	case p.Done != done || p.Message != message || p.Total != 100 || p.At.IsZero():
		e.Fatalf("job %s has progress %+v, want %d of 100, %q", id, *p, done, message)
	}
}

var noteCases = []testCase{
	{name: "log lines are read in their order and by pages", run: func(e *env) {
		w := e.worker()
		c, other := e.run(w), e.run(w)
		e.wantLog(c.ID)
		e.wantLog(jobrt.NewID())
		odd := logLine(c.Ref, 2, "größe 🧾 \\ ' \" %s $1\n")
		odd.Level, odd.Attempt, odd.Attrs = slog.LevelError+1, 3, json.RawMessage(oddResult)
		first, third := logLine(c.Ref, 1, "first"), logLine(c.Ref, 3, "")
		e.note(logs(c.Ref, first, odd), logs(other.Ref, logLine(other.Ref, 1, "of another job")))
		e.note(logs(c.Ref, logLine(c.Ref, 1, "sent again"), third))
		e.wantLog(c.ID, first, odd, third)
		if got := e.logOf(c.ID, jobrt.LogPlace{}, 1)[0]; !got.At.Equal(noted) {
			e.Errorf("line of %v, want %v", got.At, noted)
		}
		c = e.again(w, c)
		late := logLine(jobrt.Ref{ID: c.ID, LeaseSeq: odd.LeaseSeq}, 4, "of a claim that is over")
		next := logLine(c.Ref, 1, "of the next claim")
		e.note(logs(c.Ref, next), logs(jobrt.Ref{ID: c.ID, LeaseSeq: late.LeaseSeq}, late))
		e.mustFinish(succeed(c.Ref))
		after := logLine(c.Ref, 2, "after the end")
		e.note(logs(c.Ref, after))
		all := []jobrt.LogLine{first, odd, third, late, next, after}
		e.wantLog(c.ID, all...)
		var paged []jobrt.LogLine
		for behind := (jobrt.LogPlace{}); ; behind = paged[len(paged)-1].LogPlace {
			page := e.logOf(c.ID, behind, 2)
			if len(page) == 0 {
				break
			}
			paged = append(paged, page...)
		}
		if diff := cmp.Diff(e.logOf(c.ID, jobrt.LogPlace{}, 0), paged); diff != "" {
			e.Errorf("by pages of two (-whole +paged):\n%s", diff)
		}
	}},
	{name: "notes of claims that never were are left out", run: func(e *env) {
		w := e.worker()
		c := e.run(w)
		nobody, later := jobrt.Ref{ID: jobrt.NewID(), LeaseSeq: 1}, jobrt.Ref{ID: c.ID, LeaseSeq: c.LeaseSeq + 1}
		e.note(logs(nobody, logLine(nobody, 1, "x")), logs(later, logLine(later, 1, "x")), says(nobody, 1, 1, ""), says(later, 1, 1, ""),
			logs(c.Ref, logLine(c.Ref, 1, "kept")), says(c.Ref, 1, 50, "kept"))
		e.wantLog(nobody.ID)
		e.wantLog(c.ID, logLine(c.Ref, 1, "kept"))
		e.wantProgress(c.ID, 50, "kept")
	}},
	{name: "the last progress of the claim in force counts", run: func(e *env) {
		w := e.worker()
		c := e.run(w)
		e.wantProgress(c.ID, -1, "")
		e.note(says(c.Ref, 1, 10, "größe"))
		e.wantProgress(c.ID, 10, "größe")
		e.note(says(c.Ref, 3, 30, ""))
		e.note(says(c.Ref, 2, 20, "overtaken on the way"), says(c.Ref, 3, 99, "sent again"))
		e.wantProgress(c.ID, 30, "")
		old := c.Ref
		c = e.again(w, c)
		e.note(says(old, 4, 40, "of the claim before"))
		e.wantProgress(c.ID, 30, "")
		e.note(says(c.Ref, 1, 5, "anew"), says(old, 5, 50, "of the claim before"))
		e.wantProgress(c.ID, 5, "anew")
	}},
	{name: "progress is taken after the end of its own claim and not after a rescue", run: func(e *env) {
		w := e.worker()
		for _, end := range everyVerdict(jobrt.Ref{}) {
			c := e.run(w)
			end.Ref = c.Ref
			e.mustFinish(end)
			e.note(says(c.Ref, 1, 100, string(end.Verdict)))
			e.wantProgress(c.ID, 100, string(end.Verdict))
		}
		keeper := e.worker()
		c := e.run(w)
		e.note(says(c.Ref, 1, 10, ""))
		e.advance(2 * ttl)
		keeper.register(keeper.id)
		e.rescue(keeper)
		e.note(says(c.Ref, 2, 20, ""))
		e.wantProgress(c.ID, 10, "")
	}},
	{name: "a job that is claimed again and again keeps the lines of its last claims", run: func(e *env) {
		w := e.worker()
		c := e.run(w)
		for i := range jobrt.LogClaims + 5 {
			if i > 0 {
				c = e.again(w, c)
			}
			e.note(logs(c.Ref, logLine(c.Ref, 1, fmt.Sprint(i)), logLine(c.Ref, 2, "")))
		}
		lines := e.logOf(c.ID, jobrt.LogPlace{}, 0)
		if n := len(lines); n < 2*jobrt.LogClaims || n > 2*(jobrt.LogClaims+2) || lines[n-2].Message != fmt.Sprint(jobrt.LogClaims+4) {
			e.Errorf("%d lines are left, the first one %q; want two of each of the last %d claims or so", n, lines[0].Message, jobrt.LogClaims)
		}
	}},
	{name: "notes stay as long as their job", run: func(e *env) {
		w := e.worker()
		var refs []jobrt.Ref
		for range 3 {
			c := w.take(e.insert(node(func(n *jobrt.NewJob) { n.ID = agedID(2 * month); n.Queue = "only " + n.ID.String() }))[0])
			e.note(logs(c.Ref, logLine(c.Ref, 1, "x")), says(c.Ref, 1, 1, ""))
			refs = append(refs, c.Ref)
		}
		e.mustFinish(succeed(refs[0]), die(refs[1], jobrt.DeadPermanent))
		e.maintain(w)
		e.wantLog(refs[0].ID, logLine(refs[0], 1, "x"))
		e.advance(2 * month)
		w.register(w.id)
		e.maintain(w)
		e.wantNoJob(refs[0].ID)
		e.wantLog(refs[0].ID)
		for _, r := range refs[1:] {
			e.wantLog(r.ID, logLine(r, 1, "x"))
			e.wantProgress(r.ID, 1, "")
		}
	}},
}
