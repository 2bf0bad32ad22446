package bunstore

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jobgen/jobgen/internal/admit"
	jobrt "github.com/jobgen/jobgen/runtime"
)

const (
	// markEvery is how often a limit looks for running jobs that were claimed without it: by a process that has not heard
	// of it yet, or before it came into force.
	markEvery = 2 * time.Second
	// limitKeep is how long rows of limits that nobody uses stay. It is longer than any rate's stretch.
	limitKeep = 48 * time.Hour
	// noKey is the key of jobs that were stored before their kind had keys.
	noKey = "-"
	// keylessMost is how many of the foremost jobs are looked through for such.
	keylessMost = 1000
	// keylessFirst and keylessLast are the first and the longest wait between two such looks of a session.
	keylessFirst = time.Second
	keylessLast  = 5 * time.Minute
)

// checkLimited refuses a request that no store could answer rightly.
func checkLimited(r *jobrt.LimitedRequest) error {
	for i := range r.Kinds {
		if len(r.Kinds[i].Names) == 0 {
			return fmt.Errorf("bound %d has no names", i)
		}
	}
	return nil
}

// namesOf are the stored names of which a request may claim.
func namesOf(r *jobrt.LimitedRequest) []string {
	var names []string
	for i := range r.Kinds {
		names = append(names, r.Kinds[i].Claimable()...)
	}
	return names
}

// lockedLimits is what the locked rows of limits say.
type lockedLimits struct {
	cursors map[string]string
	// unmarked are the limits that have not looked for jobs claimed without them for markEvery.
	unmarked map[string]bool
}

// markedKinds are the stored names whose limits are unmarked; queue says whether that of the whole queue is.
func (l *lockedLimits) markedKinds(r *jobrt.LimitedRequest) (names []string, queue bool) {
	for i := range r.Kinds {
		if l.unmarked[admit.KindCounter(&r.Kinds[i])] {
			names = append(names, r.Kinds[i].Names...)
		}
	}
	return names, l.unmarked[admit.QueueCounter(r.Queue)]
}

// keyedOf are the stored names of a request whose keys matter.
func keyedOf(r *jobrt.LimitedRequest) []string {
	var names []string
	for i := range r.Kinds {
		if r.Kinds[i].Keyed() {
			names = append(names, r.Kinds[i].Names...)
		}
	}
	return names
}

// startsOf adds up the starts of claimed jobs that rates count.
func startsOf(r *jobrt.LimitedRequest, jobs []jobrt.ClaimedJob) []countedStart {
	bounds := make(map[string]*jobrt.KindBound)
	for i := range r.Kinds {
		for _, name := range r.Kinds[i].Names {
			bounds[name] = &r.Kinds[i]
		}
	}
	counts := make(map[admit.Start]int)
	for i := range jobs {
		for _, s := range admit.Starts(r, bounds[jobs[i].Kind], jobs[i].LimitKey) {
			counts[s]++
		}
	}
	all := make([]countedStart, 0, len(counts))
	for s, n := range counts {
		all = append(all, countedStart{s, n})
	}
	slices.SortFunc(all, func(a, b countedStart) int {
		return cmp.Or(cmp.Compare(a.Counter, b.Counter), cmp.Compare(a.Key, b.Key))
	})
	return all
}

type countedStart struct {
	admit.Start
	n int
}

// keyless says when a session looks for ready jobs that were stored before their kind had keys: the build that stores them
// may run for a while beside this one. It is safe for concurrent use.
type keyless struct {
	mu   sync.Mutex
	next map[string]keylessLook
}

type keylessLook struct {
	at   time.Time
	wait time.Duration
}

// due returns the stored names of a queue that are to be looked through now.
func (k *keyless) due(r *jobrt.LimitedRequest, now time.Time) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var names []string
	for i := range r.Kinds {
		if !r.Kinds[i].Keyed() {
			continue
		}
		for _, name := range r.Kinds[i].Names {
			at := r.Queue + "\x00" + name
			look, known := k.next[at]
			if known && now.Before(look.at) {
				continue
			}
			if k.next == nil {
				k.next = make(map[string]keylessLook)
			}
			wait := min(max(2*look.wait, keylessFirst), keylessLast)
			k.next[at] = keylessLook{at: now.Add(wait), wait: wait}
			names = append(names, name)
		}
	}
	return names
}
