package jobrt

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// LimitSession is the part of [Session] by which workers claim what may only run so often or so many at once in the
// whole cluster.
//
// There is no counter that could drift: what runs is counted in the table of jobs, so whatever ends a job, a rescue
// included, frees its place.
type LimitSession interface {
	// ClaimLimited is Claim under limits. Claims that share a limit come one after the other; the others don't wait.
	//
	// What runs of a limited kind or queue counts, by whomever it was claimed: a place that somebody has taken by a Claim
	// without limits is noticed within two seconds.
	//
	// Keys of one kind take turns, whatever their priorities; the jobs of one key, and those of kinds without keys, go by
	// priority, due time and id.
	ClaimLimited(ctx context.Context, r LimitedRequest) (LimitedClaim, error)
}

// LimitedRequest asks for ready jobs of one queue under limits.
type LimitedRequest struct {
	Worker ID
	Queue  string
	// Whole bounds all jobs of the queue together, those of other kinds included.
	Whole Bound
	Kinds []KindBound
	// Limit is the most that may be returned. All of them are marked as started, but for suspects.
	Limit int
}

// Bound says how much may run.
type Bound struct {
	// Concurrency is how many may run at once; zero for any number.
	Concurrency int
	// Rate is how many may start in any stretch of time.
	Rate Rate
}

// None reports whether the bound lets everything run.
func (b Bound) None() bool { return b.Concurrency == 0 && b.Rate.N == 0 }

// KindBound bounds one kind, whatever queue its jobs wait in.
type KindBound struct {
	Bound
	// Names are the stored name of the kind, which stands for its limits, and its aliases. What runs under any of them
	// counts; nothing is claimed of those in Barred.
	Names, Barred []string
	// ConcurrencyPerKey and RatePerKey count for each NewJob.LimitKey apart.
	ConcurrencyPerKey bool
	RatePerKey        bool
	// Serial lets the jobs of one key run one at a time, in the order in which they became due for the first time. One
	// that has begun and waits for another try keeps the later ones waiting.
	Serial bool
}

// Keyed reports whether the kind's keys matter.
func (k *KindBound) Keyed() bool { return k.ConcurrencyPerKey || k.RatePerKey || k.Serial }

// Claimable are the stored names of which jobs may be claimed.
func (k *KindBound) Claimable() []string {
	if len(k.Barred) == 0 {
		return k.Names
	}
	return slices.DeleteFunc(slices.Clone(k.Names), func(name string) bool { return slices.Contains(k.Barred, name) })
}

// None reports whether the bound lets everything run.
func (k *KindBound) None() bool { return k.Bound.None() && !k.Serial }

// Rate is N in any stretch of Per. The zero value is no limit.
type Rate struct {
	N   int
	Per time.Duration
}

func (r Rate) String() string {
	for unit, d := range rateUnits {
		if d == r.Per {
			return strconv.Itoa(r.N) + "/" + unit
		}
	}
	return fmt.Sprintf("%d/%v", r.N, r.Per)
}

var rateUnits = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}

// MaxLimit is the largest number in a limit.
const MaxLimit = 1_000_000

// ParseRate reads "100/m": a number from 0 to 1,000,000 per s, m, h or d.
func ParseRate(text string) (Rate, error) {
	n, unit, _ := strings.Cut(text, "/")
	number, err := parseLimit(n)
	per, known := rateUnits[unit]
	if err != nil || !known {
		return Rate{}, fmt.Errorf("rate %q: want a number up to %d per s, m, h or d, such as 100/m", text, MaxLimit)
	}
	return Rate{N: number, Per: per}, nil
}

func parseLimit(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > MaxLimit || strconv.Itoa(n) != text {
		return 0, fmt.Errorf("limit %q: want a number from 0 to %d", text, MaxLimit)
	}
	return n, nil
}

// LimitedClaim is the answer to a LimitedRequest.
type LimitedClaim struct {
	Jobs []ClaimedJob
	// Wait is how long until a rate lets a waiting job start; negative when none waits for that alone.
	Wait time.Duration
	// More is set when there are keys that this claim has not looked at.
	More bool
}
