package bunstore

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// noteDialect is the part of a dialect that keeps what jobs note.
type noteDialect interface {
	// note is given lines and progress that every database takes, sorted by job.
	note(ctx context.Context, lines []line, progress []progress) error
	// logs is given a limit within its bounds.
	logs(ctx context.Context, job jobrt.ID, behind jobrt.LogPlace, limit int) ([]jobrt.LogLine, error)
}

// line is a log line of a job.
type line struct {
	job jobrt.ID
	jobrt.LogLine
}

// progress is how far a job is.
type progress struct {
	job jobrt.ID
	jobrt.ProgressInfo
}

// maxLines is the most log lines that are read at once.
const maxLines = 1000

// forgetLinesBefore is the lease_seq before which a claim's first line removes the lines of others: a claim takes two.
func forgetLinesBefore(l *line) int64 { return l.LeaseSeq - 2*jobrt.LogClaims }

// Note implements [jobrt.NoteStore].
func (s *Store) Note(ctx context.Context, batch []jobrt.Note) error {
	var lines []line
	var says []progress
	for i := range batch {
		n := &batch[i]
		for _, l := range n.Lines {
			if !storable(l.Message) || !storable([]byte(l.Attrs)) || len(l.Attrs) > 0 && !json.Valid(l.Attrs) {
				return s.failed("note", fmt.Errorf("job %s: a log line is not UTF-8 without NUL, or its attributes are not JSON", n.ID))
			}
			l.LeaseSeq = n.LeaseSeq
			if len(l.Attrs) == 0 {
				l.Attrs = nil
			}
			lines = append(lines, line{n.ID, l})
		}
		if p := n.Progress; p != nil {
			if !storable(p.Message) {
				return s.failed("note", fmt.Errorf("job %s: the message of its progress is not UTF-8 without NUL", n.ID))
			}
			says = append(says, progress{n.ID, *p})
			says[len(says)-1].LeaseSeq = n.LeaseSeq
		}
	}
	if len(lines) == 0 && len(says) == 0 {
		return nil
	}
	// In one order, so that two calls do not wait for each other.
	slices.SortFunc(says, func(a, b progress) int { return slices.Compare(a.job[:], b.job[:]) })
	slices.SortStableFunc(lines, func(a, b line) int { return slices.Compare(a.job[:], b.job[:]) })
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.failed("note", s.d.note(ctx, lines, says))
}

// Logs implements [jobrt.NoteStore].
func (s *Store) Logs(ctx context.Context, job jobrt.ID, behind jobrt.LogPlace, limit int) ([]jobrt.LogLine, error) {
	if limit <= 0 || limit > maxLines {
		limit = maxLines
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	lines, err := s.d.logs(ctx, job, behind, limit)
	return lines, s.failed("logs of job "+job.String(), err)
}

// scanLine reads lease_seq, seq, attempt, at, level, message, attrs.
func scanLine(r rows) (jobrt.LogLine, error) {
	var l jobrt.LogLine
	var at instant
	var level int
	var attrs raw
	err := r.Scan(&l.LeaseSeq, &l.Seq, &l.Attempt, &at, &level, &l.Message, &attrs)
	l.At, l.Level, l.Attrs = at.Time, slog.Level(level), json.RawMessage(attrs)
	return l, err
}

// scanProgress reads lease_seq, seq, done, total, message, at.
func scanProgress(r rows) (*jobrt.ProgressInfo, error) {
	var p jobrt.ProgressInfo
	var at instant
	err := r.Scan(&p.LeaseSeq, &p.Seq, &p.Done, &p.Total, &p.Message, &at)
	p.At = at.Time
	return &p, err
}
