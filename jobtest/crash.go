package jobtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Point is a moment at which a worker may die, and what it had done by then is durable, and no more.
type Point string

// The points, in the order in which an attempt passes them. Those in the middle are passed as often as the handler does
// what they tell of.
const (
	BeforeHandler Point = "before the handler runs"
	AfterEnqueue  Point = "after the handler has enqueued"
	AfterIntent   Point = "after once= or Once has written that its work is about to be done"
	BeforeRecord  Point = "after the work of Once, before it is recorded"
	BeforeStep    Point = "after the work of a step, before it is stored"
	AfterStep     Point = "after a step is stored"
	BeforeFinish  Point = "after the handler has returned, before its end is stored"
	AfterFinish   Point = "after the job's end is stored"
)

// Points returns all points.
func Points() []Point {
	return []Point{BeforeHandler, AfterEnqueue, AfterIntent, BeforeRecord, BeforeStep, AfterStep, BeforeFinish, AfterFinish}
}

// Crash runs ready jobs, as Drain does, until one of them passes point for the n-th time, counted from 1 over all of
// them, and lets the worker die there: nothing that the attempt does later reaches the store, and its job is taken back
// as that of a worker that has vanished. It reports whether the point was reached; what is ready then is left for the
// next run.
//
// In the place of the process the handler's goroutine dies, by runtime.Goexit, so its deferred functions run, which they
// would not. A transaction of the handler that is open is rolled back by them, if the handler sees to that.
func (e *Env) Crash(tb testing.TB, reg *jobrt.Registry, point Point, n int) (reached bool) {
	tb.Helper()
	return e.crash(tb, reg, point, n, 0)
}

// crash is Crash that makes up to patience pass until jobs are due.
func (e *Env) crash(tb testing.TB, reg *jobrt.Registry, point Point, n int, patience time.Duration) (reached bool) {
	tb.Helper()
	end := e.Store.Now().Add(patience)
	runs := 0
	if !slices.Contains(Points(), point) || n < 1 {
		tb.Fatalf("jobtest: crash at %q, time %d: no such point", point, n)
	}
	d := &death{point: point, left: n}
	for !d.has() {
		info, ok := e.ready(tb, reg)
		if !ok {
			due, later := e.Store.nextDue(reg.Kinds())
			if !later || due.After(end) {
				return false
			}
			e.Store.Advance(max(due.Sub(e.Store.Now()), 0))
			continue
		}
		if runs++; runs > drainMost {
			tb.Fatalf("jobs are still ready after %d runs; the next is %s %s", drainMost, info.Kind, info.ID)
		}
		if d.passes(BeforeHandler) {
			e.abandon(tb, info)
		} else {
			e.runUntil(tb, reg, info, d)
		}
	}
	if _, err := (&session{m: e.Store}).Rescue(context.Background(), math.MaxInt); err != nil {
		tb.Fatalf("jobtest: rescue: %v", err)
	}
	return true
}

// abandon claims a job for a worker that dies at once.
func (e *Env) abandon(tb testing.TB, info jobrt.JobInfo) {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context())
	only := &singleJob{Memory: e.Store, id: info.ID}
	s, err := only.Open(ctx, jobrt.WorkerInfo{Service: info.Service, LeaseTTL: time.Minute})
	if err != nil {
		tb.Fatalf("jobtest: %v", err)
	}
	worker, err := s.Register(ctx, jobrt.ID{})
	if err == nil {
		_, err = s.Claim(ctx, jobrt.ClaimRequest{Worker: worker, Queue: info.Queue, Kinds: []string{info.Kind}, Limit: 1, Start: 1})
	}
	if err := errors.Join(err, s.Close(ctx, worker)); err != nil {
		tb.Fatalf("jobtest: %v", err)
	}
}

// death is the death of a worker: where it happens, and whether it has.
type death struct {
	point Point

	mu   sync.Mutex
	left int // passages of point until it happens
	over bool
}

// passes notes that the worker comes to a point, and reports whether it dies there.
func (d *death) passes(point Point) bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over || point != d.point {
		return false
	}
	d.left--
	d.over = d.left == 0
	return d.over
}

// has reports whether the worker is dead.
func (d *death) has() bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

// errDead is what a dead worker gets from the store.
var errDead = errors.New("jobtest: the worker has died")

// afterEnqueue lets the worker die after an enqueue.
func (d *death) afterEnqueue(next jobrt.EnqueueFunc) jobrt.EnqueueFunc {
	return func(ctx context.Context, jobs []*jobrt.Outgoing) error {
		if d.has() {
			return errDead
		}
		err := next(ctx, jobs)
		if err == nil && d.passes(AfterEnqueue) {
			runtime.Goexit()
		}
		return err
	}
}

// mortal is what a worker that may die sees of a store.
type mortal struct {
	*singleJob
	death *death
}

func (m *mortal) Insert(ctx context.Context, tx jobrt.Tx, batch []jobrt.NewJob) ([]jobrt.Inserted, error) {
	if m.death.has() {
		return nil, errDead
	}
	return m.singleJob.Insert(ctx, tx, batch)
}

func (m *mortal) InsertGraph(ctx context.Context, tx jobrt.Tx, batches []jobrt.NewBatch, jobs []jobrt.NewJob) ([]jobrt.Inserted, error) {
	if m.death.has() {
		return nil, errDead
	}
	inserted, err := m.singleJob.InsertGraph(ctx, tx, batches, jobs)
	if err == nil && m.death.passes(AfterEnqueue) {
		runtime.Goexit()
	}
	return inserted, err
}

func (m *mortal) Intend(ctx context.Context, tx jobrt.Tx, i jobrt.Intent) (jobrt.Effect, error) {
	if m.death.has() {
		return jobrt.Effect{}, errDead
	}
	known, err := m.singleJob.Intend(ctx, tx, i)
	if err == nil && tx == nil && known.State != jobrt.EffectDone && m.death.passes(AfterIntent) {
		runtime.Goexit()
	}
	return known, err
}

func (m *mortal) SettleEffect(ctx context.Context, ref jobrt.Ref, end jobrt.EffectEnd) error {
	if m.death.has() {
		return errDead
	}
	if m.death.passes(BeforeRecord) {
		runtime.Goexit()
	}
	return m.singleJob.SettleEffect(ctx, ref, end)
}

func (m *mortal) SaveStep(ctx context.Context, ref jobrt.Ref, name string, result []byte) error {
	if m.death.has() {
		return errDead
	}
	if m.death.passes(BeforeStep) {
		runtime.Goexit()
	}
	err := m.singleJob.SaveStep(ctx, ref, name, result)
	if err == nil && m.death.passes(AfterStep) {
		runtime.Goexit()
	}
	return err
}

// Finish tells a dead worker that its ends are stale, so that it lets go of them.
func (m *mortal) Finish(ctx context.Context, tx jobrt.Tx, batch []jobrt.Finish) ([]jobrt.FinishResult, error) {
	if !m.death.has() && (tx != nil || !m.death.passes(BeforeFinish)) {
		results, err := m.singleJob.Finish(ctx, tx, batch)
		if err != nil || tx != nil || !m.death.passes(AfterFinish) {
			return results, err
		}
	}
	results := make([]jobrt.FinishResult, len(batch))
	for i := range results {
		results[i].Status = jobrt.FinishStale
	}
	m.tell(batch, results)
	return results, nil
}

// Ending is what became of a scene in which a worker died: see [Drill].
type Ending struct {
	// Point, and how often it was passed when the worker died. Nth is 0 when nobody died.
	Point Point
	Nth   int
	// Effects counts the effects by name.
	Effects map[string]int
	// Jobs is every job, as it is in the end.
	Jobs []jobrt.JobInfo
}

// Twice names the effects that happened more than once, sorted.
func (e Ending) Twice() []string {
	var names []string
	for name, n := range e.Effects {
		if n > 1 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Unfinished are the jobs that have neither succeeded nor been cancelled, skipped or expired.
func (e Ending) Unfinished() []jobrt.JobInfo {
	var jobs []jobrt.JobInfo
	for _, j := range e.Jobs {
		if j.State.Live() || j.State == jobrt.StateDead {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

// String says it in one line.
func (e Ending) String() string {
	s := "nobody died"
	if e.Nth > 0 {
		s = fmt.Sprintf("died %s (%d)", e.Point, e.Nth)
	}
	var names []string
	for name, n := range e.Effects {
		names = append(names, fmt.Sprintf("%s %d×", name, n))
	}
	slices.Sort(names)
	s += ": " + strings.Join(names, ", ")
	for _, j := range e.Unfinished() {
		s += fmt.Sprintf("; %s is %s (%s)", j.Kind, j.State, j.Reason)
	}
	return s
}

const (
	// drillMost bounds how often one point is passed.
	drillMost = 100
	// drillPatience is how long the clock goes on in the end, for retries and delays.
	drillPatience = 24 * time.Hour
)

// Drill lets the worker of a scene die at every point that the scene passes, each time it is passed, and tells what each
// death led to; the first ending is that of the scene in which nobody dies.
//
// scene is called for each of them with an empty Env. It enqueues, and returns the registry of the handlers. They call
// effect, with a name, wherever they do what should happen once: it counts. After the death the jobs go on with another
// worker until nothing is left that can run within a day of the store's clock.
func Drill(tb testing.TB, scene func(ctx context.Context, env *Env, effect func(name string)) *jobrt.Registry) []Ending {
	tb.Helper()
	undisturbed, _ := drill(tb, scene, "", 0)
	endings := []Ending{undisturbed}
	for _, point := range Points() {
		for n := 1; ; n++ {
			if n > drillMost {
				tb.Fatalf("jobtest: the scene passes %q more than %d times", point, drillMost)
			}
			ending, reached := drill(tb, scene, point, n)
			if !reached {
				break
			}
			endings = append(endings, ending)
		}
	}
	return endings
}

func drill(tb testing.TB, scene func(ctx context.Context, env *Env, effect func(name string)) *jobrt.Registry, point Point, n int) (Ending, bool) {
	tb.Helper()
	ctx, env := New(tb)
	env.Pool.Logger = slog.New(slog.DiscardHandler)
	ending := Ending{Point: point, Nth: n, Effects: make(map[string]int)}
	var mu sync.Mutex
	reg := scene(ctx, env, func(name string) {
		mu.Lock()
		defer mu.Unlock()
		ending.Effects[name]++
	})
	reached := n > 0 && env.crash(tb, reg, point, n, drillPatience)
	if n > 0 && !reached {
		return Ending{}, false
	}
	env.elapse(tb, reg, drillPatience, func() time.Duration { return -1 })
	ending.Jobs = env.Store.all()
	return ending, true
}
