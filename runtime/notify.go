package jobrt

import (
	"context"
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
}

const (
	notifyTimeout = 5 * time.Second
	// notifyGap is the least time between two notifications.
	notifyGap = 10 * time.Millisecond
)

func newNotifier(store Store) *notifier {
	return &notifier{store: store, pending: make(map[string]struct{})}
}

func (n *notifier) send(queues []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, q := range queues {
		n.pending[q] = struct{}{}
	}
	if !n.sending && len(n.pending) > 0 {
		n.sending = true
		go n.run()
	}
}

// run sends until nothing is pending. Errors are dropped: polling finds the jobs.
func (n *notifier) run() {
	for {
		n.mu.Lock()
		queues := make([]string, 0, len(n.pending))
		for q := range n.pending {
			queues = append(queues, q)
		}
		clear(n.pending)
		if len(queues) == 0 {
			n.sending = false
			n.mu.Unlock()
			return
		}
		n.mu.Unlock()

		ctx, cancel := context.WithTimeout(context.Background(), notifyTimeout)
		_ = n.store.Notify(ctx, queues)
		cancel()
		time.Sleep(notifyGap)
	}
}
