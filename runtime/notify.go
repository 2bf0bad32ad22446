package jobrt

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// notifier sends wake-ups to other processes after a commit, off the caller's path. Queues named while one notification
// is under way are told together in the next, so a storm of enqueues costs a bounded number of statements.
type notifier struct {
	store Store

	mu      sync.Mutex
	pending map[string]struct{}
	sending bool
	last    time.Time // when the last notification was sent
}

const (
	notifyTimeout = 5 * time.Second
	// notifyGap is the least time between two notifications.
	notifyGap = 10 * time.Millisecond
)

func newNotifier(store Store) *notifier {
	return &notifier{store: store, pending: make(map[string]struct{})}
}

// send returns at once. What waits for the gap is a timer, not a goroutine, so that nothing lingers in a test that counts
// goroutines or fakes time.
func (n *notifier) send(queues []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, q := range queues {
		n.pending[q] = struct{}{}
	}
	if !n.sending && len(n.pending) > 0 {
		n.sending = true
		time.AfterFunc(max(notifyGap-time.Since(n.last), 0), n.run)
	}
}

// run tells what is pending, and leaves what came meanwhile for after the gap.
func (n *notifier) run() {
	n.mu.Lock()
	queues := slices.Sorted(maps.Keys(n.pending))
	clear(n.pending)
	n.mu.Unlock()

	n.tell(queues)

	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = time.Now()
	if n.sending = len(n.pending) > 0; n.sending {
		time.AfterFunc(notifyGap, n.run)
	}
}

// tell sends one notification. A store that fails, even by a panic, costs a wake-up and nothing else: polling finds
// the jobs.
func (n *notifier) tell(queues []string) {
	ctx, cancel := context.WithTimeout(context.Background(), notifyTimeout)
	defer cancel()
	defer func() { _ = recover() }()
	_ = n.store.Notify(ctx, queues)
}
