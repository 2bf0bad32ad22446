package jobrt_test

import (
	"context"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// hooked is a store whose sessions' calls go through the test.
type hooked struct {
	jobrt.Store
	claim        func(ctx context.Context, r jobrt.ClaimRequest, next func() ([]jobrt.ClaimedJob, error)) ([]jobrt.ClaimedJob, error)
	renew        func(ctx context.Context, next func() error) error
	held         func(next func() ([]jobrt.Ref, error)) ([]jobrt.Ref, error)
	start        func(next func() ([]jobrt.Ref, error)) ([]jobrt.Ref, error)
	afterRenewal func(s jobrt.Session, w jobrt.ID)
	slow         time.Duration // of the start
	slowRelease  time.Duration // of its answer
	deaf         bool          // no wake-ups
}

func (h *hooked) Open(ctx context.Context, w jobrt.WorkerInfo) (jobrt.Session, error) {
	s, err := h.Store.Open(ctx, w)
	return &hookedSession{Session: s, h: h}, err
}

type hookedSession struct {
	jobrt.Session
	h *hooked
}

func (s *hookedSession) Claim(ctx context.Context, r jobrt.ClaimRequest) ([]jobrt.ClaimedJob, error) {
	next := func() ([]jobrt.ClaimedJob, error) { return s.Session.Claim(ctx, r) }
	if s.h.claim == nil {
		return next()
	}
	return s.h.claim(ctx, r, next)
}

func (s *hookedSession) Renew(ctx context.Context, w jobrt.ID) error {
	if s.h.afterRenewal != nil {
		defer s.h.afterRenewal(s.Session, w)
	}
	if s.h.renew == nil {
		return s.Session.Renew(ctx, w)
	}
	return s.h.renew(ctx, func() error { return s.Session.Renew(context.WithoutCancel(ctx), w) })
}

func (s *hookedSession) Held(ctx context.Context, w jobrt.ID) ([]jobrt.Ref, error) {
	next := func() ([]jobrt.Ref, error) { return s.Session.Held(ctx, w) }
	if s.h.held == nil {
		return next()
	}
	return s.h.held(next)
}

func (s *hookedSession) Start(ctx context.Context, refs []jobrt.Ref) ([]jobrt.Ref, error) {
	next := func() ([]jobrt.Ref, error) { return s.Session.Start(ctx, refs) }
	if s.h.start == nil {
		return next()
	}
	return s.h.start(next)
}

func (s *hookedSession) Release(ctx context.Context, limit int) (jobrt.Released, error) {
	got, err := s.Session.Release(context.WithoutCancel(ctx), limit)
	time.Sleep(s.h.slowRelease) // bubble time
	return got, err
}

func (s *hookedSession) Revive(ctx context.Context, schemas map[string]string) (int, error) {
	time.Sleep(s.h.slow) // bubble time
	return s.Session.Revive(context.WithoutCancel(ctx), schemas)
}

func (s *hookedSession) Listen(ctx context.Context, wake func(string), control func()) error {
	if s.h.deaf {
		return jobrt.ErrNoListen
	}
	return s.Session.Listen(ctx, wake, control)
}

// vanish enqueues a job and claims it for a worker that is never heard of again.
func vanish(t *testing.T, store jobrt.Store, b *bench, job *jobrt.Job[work, done]) jobrt.Handle[done] {
	t.Helper()
	h := b.enqueue(job, work{})
	dead, err := store.Open(t.Context(), jobrt.WorkerInfo{Service: "svc", LeaseTTL: 15 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	id, err := dead.Register(t.Context(), jobrt.ID{})
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := dead.Claim(t.Context(), jobrt.ClaimRequest{Worker: id, Queue: "q", Kinds: []string{job.Kind}, Limit: 1, Start: 1})
	if err != nil || len(jobs) != 1 {
		t.Fatalf("claim: %v, %v", jobs, err)
	}
	return h
}
