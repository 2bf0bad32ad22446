package jobrt

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"
)

// NoteStore keeps what running jobs say of themselves, with the job until it is removed: see [Log] and [Progress].
type NoteStore interface {
	// Note adds to what attempts have noted, which are distinct claims.
	//
	// Progress is taken while the claim is in force, and after a Finish has settled it until the job is claimed again; the
	// one with the higher (LeaseSeq, Seq) stays. Lines are taken from every claim that the job has had; one that is known
	// stays as it is. The first line of a claim removes those of claims long before it: about the last LogClaims keep
	// theirs. What comes from elsewhere is left out without an error. The same call may be sent again at any time.
	Note(ctx context.Context, batch []Note) error

	// Logs returns log lines of a job in their order, those behind a place; none for a job that is unknown. limit is the
	// most that is returned; default 1,000, at most 1,000.
	Logs(ctx context.Context, job ID, behind LogPlace, limit int) ([]LogLine, error)
}

// LogClaims is of how many claims a job's log lines are kept, at least: a job that snoozes for years would fill the
// database otherwise.
const LogClaims = 20

// Note is what one attempt has noted since the last time.
type Note struct {
	Ref
	// Lines in their order.
	Lines []LogLine
	// Progress, if it has changed.
	Progress *ProgressInfo
}

// LogPlace is the place of a line in a job's log.
type LogPlace struct {
	// LeaseSeq of the claim that wrote the line.
	LeaseSeq int64 `json:"lease_seq"`
	// Seq counts the lines of a claim from 1.
	Seq int `json:"seq"`
}

// LogLine is one line of a job's log.
type LogLine struct {
	LogPlace
	// Attempt counts from 1; a claim that cost no attempt has the number of the next one.
	Attempt int `json:"attempt"`
	// At is the worker's own clock.
	At      time.Time  `json:"at"`
	Level   slog.Level `json:"level"`
	Message string     `json:"message"`
	// Attrs is a JSON object; nil for none.
	Attrs json.RawMessage `json:"attrs,omitempty"`
}

// ProgressInfo is how far a job is.
type ProgressInfo struct {
	// LeaseSeq of the claim that said so, and the number of times that it had.
	LeaseSeq int64 `json:"lease_seq"`
	Seq      int64 `json:"-"`
	Done     int64 `json:"done"`
	// Total is 0 when it is unknown.
	Total   int64  `json:"total"`
	Message string `json:"message,omitempty"`
	// At is when it was stored.
	At time.Time `json:"at"`
}
