package jobtest

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Note adds to what running jobs have noted of themselves.
func (m *Memory) Note(ctx context.Context, batch []jobrt.Note) error {
	if err := asked(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range batch {
		r := m.jobs[n.ID]
		if r == nil || n.LeaseSeq > r.info.LeaseSeq {
			continue
		}
		r.log(n.Lines)
		if n.Progress == nil || !r.takesProgress(n.Ref) {
			continue
		}
		p := *n.Progress
		p.LeaseSeq, p.At = n.LeaseSeq, m.now()
		if comparePlaces(r.progress, &p) < 0 {
			r.progress = &p
		}
	}
	return nil
}

// log adds lines that are not known yet, and removes those of claims long before.
func (r *row) log(lines []jobrt.LogLine) {
	for _, line := range lines {
		at, known := slices.BinarySearchFunc(r.lines, line.LogPlace, compareLine)
		if known {
			continue
		}
		line.Attrs = bytes.Clone(line.Attrs)
		r.lines = slices.Insert(r.lines, at, line)
		if line.Seq == 1 { // a claim takes two numbers
			r.lines = slices.DeleteFunc(r.lines, func(l jobrt.LogLine) bool { return l.LeaseSeq < line.LeaseSeq-2*jobrt.LogClaims })
		}
	}
}

func compareLine(line jobrt.LogLine, place jobrt.LogPlace) int {
	return cmp.Or(cmp.Compare(line.LeaseSeq, place.LeaseSeq), cmp.Compare(line.Seq, place.Seq))
}

// takesProgress reports whether a claim is in force, or is the last one and was settled by a Finish.
func (r *row) takesProgress(claim jobrt.Ref) bool {
	if r.info.State == jobrt.StateRunning {
		return r.info.LeaseSeq == claim.LeaseSeq
	}
	return r.info.LeaseSeq == claim.LeaseSeq+1 && slices.Contains(r.settled, claim.LeaseSeq)
}

// comparePlaces compares progress by claim and number; none is the first.
func comparePlaces(a, b *jobrt.ProgressInfo) int {
	if a == nil {
		return -1
	}
	return cmp.Or(cmp.Compare(a.LeaseSeq, b.LeaseSeq), cmp.Compare(a.Seq, b.Seq))
}

// Logs returns log lines of a job.
func (m *Memory) Logs(ctx context.Context, job jobrt.ID, behind jobrt.LogPlace, limit int) ([]jobrt.LogLine, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.jobs[job]
	if r == nil {
		return nil, nil
	}
	at, known := slices.BinarySearchFunc(r.lines, behind, compareLine)
	if known {
		at++
	}
	if limit <= 0 || limit > 1000 {
		limit = 1000
	}
	lines := slices.Clone(r.lines[at:min(at+limit, len(r.lines))])
	for i := range lines {
		lines[i].Attrs = bytes.Clone(lines[i].Attrs)
	}
	return lines, nil
}
