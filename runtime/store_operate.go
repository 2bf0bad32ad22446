package jobrt

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// OperateStore is the part of [Store] that operators use: it changes jobs by hand and says who has.
type OperateStore interface {
	// Audit lists what was changed by hand, newest first.
	Audit(ctx context.Context, f AuditFilter) ([]AuditEntry, error)
}

// OperateSession is the part of [Session] by which workers do what was asked for by hand, and end what has expired.
type OperateSession interface {
	// Expire ends up to limit ready jobs as expired that may not start any more: what nobody claims, because its queue is
	// paused or its kind has no worker. It returns how many; a Release is due then.
	Expire(ctx context.Context, limit int) (int, error)
}

// ExpiredError is the error of a job that ends as expired, for people to read. due is when it was due.
func ExpiredError(due time.Time) *AttemptError {
	return &AttemptError{
		Message:     "was due at " + due.UTC().Format(time.RFC3339) + " and had not started when its time was over",
		Fingerprint: expiredFingerprint,
	}
}

// expiredFingerprint is one for all kinds.
const expiredFingerprint = "e0e0e0e0e0e0e0e0"

// MaxExpires is the longest NewJob.Expires, a hundred years.
const MaxExpires = 100 * 365 * 24 * time.Hour

// Limits of an [Actor], in bytes.
const (
	maxActorName   = 128
	maxActorReason = 1000
)

// Actor is who changes something by hand. It is stored with the change and in the audit.
type Actor struct {
	// Name of a person or program; required, at most 128 bytes.
	Name string
	// Reason for people; may be empty, at most 1,000 bytes.
	Reason string
}

// Check returns why the actor cannot be recorded, nil when it can. Stores refuse what Check refuses.
func (a Actor) Check() error {
	switch {
	case strings.TrimSpace(a.Name) == "":
		return fmt.Errorf("actor: no name")
	case len(a.Name) > maxActorName:
		return fmt.Errorf("actor: name has %d bytes, at most %d are kept", len(a.Name), maxActorName)
	case len(a.Reason) > maxActorReason:
		return fmt.Errorf("actor: reason has %d bytes, at most %d are kept", len(a.Reason), maxActorReason)
	}
	for _, s := range []string{a.Name, a.Reason} {
		if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
			return fmt.Errorf("actor: %.100q is not text", s)
		}
	}
	return nil
}

// AuditEntry is one change by hand. It was written in the transaction of the change.
type AuditEntry struct {
	ID ID `json:"id"`
	// At is the store's clock.
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Action string    `json:"action"` // a verb: "retry"
	// Target is what was changed: "job:ID", "queue:NAME", "kind:NAME", "worker:ID", "outbox:ID" or "*".
	Target string `json:"target"`
	Reason string `json:"reason,omitempty"`
	// Detail is a JSON object, nil for none.
	Detail []byte `json:"-"`
}

// AuditFilter selects entries of the audit. Empty fields select everything.
type AuditFilter struct {
	Actor  string
	Action string
	Target string
	// Limit is the most that is returned; default 100, at most 1,000.
	Limit int
	// Before returns entries with smaller ids only: the last id of the page before.
	Before ID
}
