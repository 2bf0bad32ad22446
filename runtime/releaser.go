package jobrt

import (
	"context"
	"sync"
	"time"
)

// releaser lets go the jobs that wait for others, soon after one of those has ended in this process or in a transaction
// of its client. One goroutine does it; whatever asks while it is at work is served by one more round. A process that
// dies before its Release leaves the work to the duty of all processes, which asks once a second.
type releaser struct {
	pool    *Pool
	woken   chan struct{} // holds one request
	closing chan struct{}
	ctx     context.Context // ends when the pool gives up on a store that is away
	giveUp  context.CancelFunc
	loop    sync.WaitGroup
}

// releaseEvery is how often one process looks for what somebody else has left to release.
const releaseEvery = time.Second

// lastReleases is how often a stop tries again when the store stumbles: there are others to do it.
const lastReleases = 3

func newReleaser(p *Pool) *releaser {
	r := &releaser{pool: p, woken: make(chan struct{}, 1), closing: make(chan struct{})}
	r.ctx, r.giveUp = context.WithCancel(context.Background())
	return r
}

func (r *releaser) start() { r.loop.Go(r.run) }

// wake asks for a Release. It never blocks.
func (r *releaser) wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// stop does what is asked already, so that the children of the last jobs need not wait for somebody else, but for no
// longer than grace, and with a few tries only when the store is away.
func (r *releaser) stop(grace time.Duration) {
	timer := time.AfterFunc(grace, r.giveUp)
	close(r.closing)
	r.loop.Wait()
	timer.Stop()
	r.giveUp()
}

func (r *releaser) run() {
	for last := false; !last; {
		select {
		case <-r.woken:
		case <-r.closing:
			last = true // what is asked from here on is the duty's, and others have that too
			select {
			case <-r.woken:
			default:
				return
			}
		}
		for try := 0; ; try++ {
			err := r.release()
			if err == nil {
				break
			}
			if r.ctx.Err() != nil || last && (try >= lastReleases || !transient(err)) {
				return
			}
			wait := pauseBefore(try)
			if !transient(err) {
				wait = pauseMax
				r.pool.log.Error("jobs that wait for others cannot be released; trying again", "err", err)
			}
			if last {
				pauseFor(r.ctx, wait)
				continue
			}
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-r.closing:
				last, try = true, -1
			}
			timer.Stop()
		}
	}
}

// release lets go until there is no more, and wakes who can go on.
func (r *releaser) release() error {
	for {
		var got Released
		err := bounded(r.ctx, func(ctx context.Context) (err error) {
			got, err = r.pool.session.Release(ctx, dutyBatch)
			return err
		})
		switch {
		case err == nil:
			r.pool.health.report(nil)
		case transient(err) && r.ctx.Err() == nil:
			r.pool.health.report(err)
			return err
		default:
			return err
		}
		if len(got.Queues) > 0 || got.Ready > 0 && got.Next >= 0 {
			r.pool.client.wake(got.Queues, got.Next)
		}
		if !got.More || r.ctx.Err() != nil {
			return nil
		}
	}
}
