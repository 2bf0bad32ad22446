package jobrt

import (
	"context"
	"time"
)

// StatStore is the part of a [Store] that knows how attempts have ended. The counts come from what each process has
// counted by itself and appends every few seconds: a process that dies takes the last seconds' with it, and no job's end
// costs a statement more.
type StatStore interface {
	// Stats sums up statistics. It reads the lines of its window: some per kind, queue and build for each minute of the
	// last two days, and for each hour before. Lines that cannot be read count in Unreadable alone.
	Stats(ctx context.Context, q StatQuery) ([]Stat, error)
}

// StatSession is the part of a [Session] that keeps the statistics.
type StatSession interface {
	// RecordStats appends what a process has counted; At of the lines is the store's. The same flush may be sent again for
	// StatResend after it was sent first, and counts once.
	RecordStats(ctx context.Context, flush ID, lines []Stat) error

	// FoldStats makes one line of those that processes have appended for the same minute, once nobody appends to it any
	// more, and one of those of an hour after two days, and deletes what is older than 30 days. It works in short
	// transactions, may be cut off at any point, and two may run at once. Lines that are due and cannot be read are
	// deleted: it tells of those, with an error too.
	FoldStats(ctx context.Context) (StatsDropped, error)
}

// StatsDropped tells of lines of statistics that were deleted because they could not be read: somebody has changed them by
// hand, or a newer build writes them in another form.
type StatsDropped struct {
	Lines int
	// First is why the first of them could not be read.
	First error
}

const (
	// StatResend is how long after its first sending a flush may be sent again.
	StatResend = 30 * time.Second
	// StatSettle is the age from which on appended lines are folded: no resend comes so late.
	StatSettle = 2 * time.Minute
	// StatMinutes is the age up to which there are lines for each minute, StatKeep for each hour.
	StatMinutes = 48 * time.Hour
	StatKeep    = 30 * 24 * time.Hour
)

// StatFold is one kind of fold: lines of level From that are older than Age become lines of the next level, one for each
// Every.
type StatFold struct {
	From       int
	Age, Every time.Duration
}

// StatFolds are the folds, in the order in which FoldStats does them. Lines as they are appended have level 0.
func StatFolds() []StatFold {
	return []StatFold{{From: 0, Age: StatSettle, Every: time.Minute}, {From: 1, Age: StatMinutes, Every: time.Hour}}
}
