package storetest

import (
	"context"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	jobrt "github.com/jobgen/jobgen/runtime"
)

var instantType = reflect.TypeFor[time.Time]()

// worker is one worker process as the store sees it.
type worker struct {
	e       *env
	session jobrt.Session
	id      jobrt.ID
	closed  bool
}

// worker opens a session of the env's store and registers it.
func (e *env) worker(edits ...func(*jobrt.WorkerInfo)) *worker {
	e.Helper()
	return e.workerOf(e.s, edits...)
}

func (e *env) workerOf(s jobrt.Store, edits ...func(*jobrt.WorkerInfo)) *worker {
	e.Helper()
	info := jobrt.WorkerInfo{
		Service: service, Host: "host-a", PID: os.Getpid(), Build: "v1",
		Queues: []string{queue}, Kinds: []string{kind, kindB}, LeaseTTL: ttl,
	}
	for _, edit := range edits {
		edit(&info)
	}
	session, err := s.Open(e.ctx, info)
	if err != nil {
		e.Fatalf("open session: %v", err)
	}
	w := &worker{e: e, session: session}
	e.Cleanup(func() {
		if !w.closed {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := w.session.Close(ctx, w.id); err != nil {
				e.Errorf("close session: %v", err)
			}
		}
	})
	w.register(jobrt.ID{})
	return w
}

// register gives the worker a new lease.
func (w *worker) register(previous jobrt.ID) {
	w.e.Helper()
	id, err := w.session.Register(w.e.ctx, previous)
	if err != nil {
		w.e.Fatalf("register: %v", err)
	}
	if id.IsZero() || id == previous {
		w.e.Fatalf("register: got worker %s after %s, want a fresh one", id, previous)
	}
	w.id = id
}

// close ends the session, as a worker does when it stops.
func (w *worker) close() {
	w.e.Helper()
	w.closed = true
	if err := w.session.Close(w.e.ctx, w.id); err != nil {
		w.e.Fatalf("close session: %v", err)
	}
}

// request is a claim of up to n jobs of both kinds, none marked as started.
func (w *worker) request(n int) jobrt.ClaimRequest {
	return jobrt.ClaimRequest{
		Worker: w.id, Queue: queue, Kinds: []string{kind, kindB}, Limit: n, FromFront: true,
	}
}

// claim takes up to n jobs and marks them all as started.
func (w *worker) claim(n int) []jobrt.ClaimedJob {
	w.e.Helper()
	r := w.request(n)
	r.Start = n
	return w.claimWith(r)
}

// prefetch takes up to n jobs and marks none as started.
func (w *worker) prefetch(n int) []jobrt.ClaimedJob {
	w.e.Helper()
	return w.claimWith(w.request(n))
}

func (w *worker) claimWith(r jobrt.ClaimRequest) []jobrt.ClaimedJob {
	w.e.Helper()
	jobs, err := w.session.Claim(w.e.ctx, r)
	if err != nil {
		w.e.Fatalf("claim: %v", err)
	}
	if len(jobs) > r.Limit {
		w.e.Fatalf("claim: got %d jobs, limit %d", len(jobs), r.Limit)
	}
	return jobs
}

// claimOne takes one job that must be there, and marks it as started unless it is a suspect.
func (w *worker) claimOne() jobrt.ClaimedJob {
	w.e.Helper()
	jobs := w.claim(1)
	if len(jobs) != 1 {
		w.e.Fatalf("claim: got %d jobs, want 1", len(jobs))
	}
	return jobs[0]
}

// wantNothing fails when there is a job to claim.
func (w *worker) wantNothing() {
	w.e.Helper()
	if jobs := w.prefetch(10); len(jobs) != 0 {
		w.e.Fatalf("claim: got %v, want nothing", jobs)
	}
}

// start marks claimed jobs as started and returns those that are still the worker's.
func (w *worker) start(refs ...jobrt.Ref) []jobrt.Ref {
	w.e.Helper()
	ours, err := w.session.Start(w.e.ctx, refs)
	if err != nil {
		w.e.Fatalf("start: %v", err)
	}
	return ours
}

// mustStart marks one claimed job as started.
func (w *worker) mustStart(r jobrt.Ref) {
	w.e.Helper()
	if ours := w.start(r); len(ours) != 1 || ours[0] != r {
		w.e.Fatalf("start %v: got %v, want it", r, ours)
	}
}

func idsOf(jobs []jobrt.ClaimedJob) []jobrt.ID {
	ids := make([]jobrt.ID, len(jobs))
	for i, j := range jobs {
		ids[i] = j.ID
	}
	return ids
}

// wantIDs compares ids in order.
func wantIDs(tb testing.TB, what string, got, want []jobrt.ID) {
	tb.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		tb.Fatalf("%s: ids differ (-want +got):\n%s", what, diff)
	}
}

// wantSameIDs compares ids in any order.
func wantSameIDs(tb testing.TB, what string, got, want []jobrt.ID) {
	tb.Helper()
	wantIDs(tb, what, sorted(got), sorted(want))
}

func sorted(ids []jobrt.ID) []jobrt.ID {
	return slices.SortedFunc(slices.Values(ids), compareIDs)
}

// diffInfo compares two looks at one job; instants may have been shifted by Advance and are left out.
func diffInfo(a, b jobrt.JobInfo) string {
	return cmp.Diff(a, b, cmpopts.EquateEmpty(), cmp.FilterPath(func(p cmp.Path) bool {
		return p.Last().Type() == instantType
	}, cmp.Ignore()))
}
