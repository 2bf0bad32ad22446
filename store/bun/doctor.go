package bunstore

import (
	"context"
	"fmt"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// doctorDialect is the part of dialect that tells how the database does.
type doctorDialect interface {
	// diagnose returns the checks, which only look, by name.
	diagnose() []diagnosis
}

// diagnosis is one check.
type diagnosis struct {
	name string
	look func(ctx context.Context, r *report) error
}

// report collects findings of one check.
type report struct {
	check string
	found []jobrt.Finding
}

func (r *report) add(severity jobrt.Severity, target, what, why, do string) {
	r.found = append(r.found, jobrt.Finding{Severity: severity, Check: r.check, Target: target, What: what, Why: why, Do: do})
}

var _ jobrt.Diagnoser = (*Store)(nil)

// Diagnose implements [jobrt.Diagnoser]. A check that fails, for lack of a right say, is a finding of its own.
func (s *Store) Diagnose(ctx context.Context) ([]jobrt.Finding, error) {
	var all []jobrt.Finding
	for _, d := range s.d.diagnose() {
		r := &report{check: d.name}
		look, cancel := s.bounded(ctx)
		err := d.look(look, r)
		cancel()
		if err != nil {
			r.add(jobrt.SeverityWarning, "", "could not be checked: "+s.d.classify(err).Error(), "what it would have found is unknown",
				"mend what the message says, and ask again")
		}
		all = append(all, r.found...)
	}
	return all, ctx.Err()
}

const (
	// bloatedTable is how many dead rows of a table are worth a warning, when they are more than the live ones.
	bloatedTable = 100_000
	// longTransaction is the age from which on a transaction is worth a warning: it keeps dead rows from being removed.
	longTransaction = 5 * time.Minute
	// skewNote and skewWarning are how far clocks may be apart.
	skewNote, skewWarning = time.Second, 30 * time.Second
	// lateDuty is how long after its time a duty counts as stuck, while workers live.
	lateDuty = 5 * time.Minute
	// crowded is how much data of others beside the jobs is worth a warning, in bytes.
	crowded = 50 << 30
)

// sizeText writes a number of bytes for people.
func sizeText(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, prefix := float64(n)/unit, 0
	for value >= unit && prefix < len("KMGTP")-1 {
		value /= unit
		prefix++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[prefix])
}

// sayClock reports that the database's clock is ahead of this machine's, if it is, as far as a question that took so long
// can tell.
func (r *report) sayClock(skew, took time.Duration) {
	if skew.Abs() <= skewNote+took/2 {
		return
	}
	severity := jobrt.SeverityNote
	if skew.Abs() > skewWarning {
		severity = jobrt.SeverityWarning
	}
	where := "ahead of"
	if skew < 0 {
		where = "behind"
	}
	r.add(severity, "", fmt.Sprintf("the database's clock is %v %s this machine's", skew.Abs().Round(10*time.Millisecond), where),
		"jobs go by the database's clock; instants that a program on this machine names, and those that it writes down, differ", "have both clocks kept by NTP")
}

// sayStuck reports a duty that nobody does.
func (r *report) sayStuck(name string, late time.Duration) {
	r.add(jobrt.SeverityWarning, "duty:"+name, fmt.Sprintf("the duty %q is overdue by %v though workers live", name, late.Round(time.Second)),
		"what it keeps in order, such as old history, promotions or statistics, is not kept", "look in the workers' logs for the errors of their duties")
}
