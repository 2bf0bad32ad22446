package jobrt_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// ran is what handlers did, in order.
type ran struct {
	mu   sync.Mutex
	what []string
}

func (r *ran) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.what = append(r.what, fmt.Sprintf(format, args...))
}

// serve registers handlers that note what they are called with.
func (r *ran) serve(t *testing.T, reg *jobrt.Registry, jobs ...*jobrt.Job[work, done]) {
	t.Helper()
	for _, job := range jobs {
		name := job.Kind[strings.LastIndex(job.Kind, ".")+1:]
		err := jobrt.Register(reg, job, func(_ context.Context, w work) (done, error) {
			r.note("%s %d", name, w.N)
			if w.N < 0 {
				return done{}, jobrt.Permanent(errors.New("negative"))
			}
			return done{}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAGraphRunsInItsOrder(t *testing.T) {
	ctx, env := jobtest.New(t)
	reg, r := jobrt.NewRegistry(), new(ran)
	render, mail, report, alarm := newJob("Render"), newJob("Mail"), newJob("Report"), newJob("Alarm")
	r.serve(t, reg, render, mail, report, alarm)
	var batch jobrt.BatchHandle
	err := env.Client.Graph(ctx, func(ctx context.Context) (err error) {
		batch, err = env.Client.Batch(ctx, "month end", func(ctx context.Context) error {
			for n := range 3 {
				rendered, err := jobrt.Enqueue(ctx, nil, render, work{N: n})
				if err != nil {
					return err
				}
				if _, err := jobrt.Enqueue(ctx, nil, mail, work{N: n}, jobrt.After(rendered)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if _, err = jobrt.Enqueue(ctx, nil, report, work{}, jobrt.After(batch)); err != nil {
			return err
		}
		_, err = jobrt.Enqueue(ctx, nil, alarm, work{}, jobrt.AfterFailure(batch))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	env.Drain(t, reg)
	at := func(what string) int { return slices.Index(r.what, what) }
	for n := range 3 {
		if at(fmt.Sprint("Render ", n)) > at(fmt.Sprint("Mail ", n)) {
			t.Errorf("mail %d was sent before it was rendered", n)
		}
	}
	if len(r.what) != 7 || at("Report 0") != 6 {
		t.Errorf("ran %q, want three renderings, three mails and the report", r.what)
	}
	info, err := env.Client.BatchInfo(ctx, batch.ID())
	if err != nil || info.State != jobrt.BatchSucceeded || info.Total != 6 || info.Succeeded != 6 || info.Service == "" {
		t.Errorf("batch %+v, %v", info, err)
	}
}

func TestAHolderOfAUniqueKeyKeepsItsOwnContinuations(t *testing.T) {
	ctx, env := jobtest.New(t)
	reg, r := jobrt.NewRegistry(), new(ran)
	archive := newJob("Archive")
	send := newJob("Send")
	send.UniqueKey = func(dst []byte, w *work) ([]byte, error) { return fmt.Append(dst, w.N), nil }
	send.Next = []jobrt.Next{{Job: archive, On: jobrt.IfSucceeded, Slot: jobrt.SlotNone, SameArgs: true}}
	r.serve(t, reg, send, archive)

	var second, child jobrt.Handle[done]
	first, err := jobrt.Enqueue(ctx, nil, send, work{N: 7})
	if err != nil {
		t.Fatal(err)
	}
	err = env.Client.Graph(ctx, func(ctx context.Context) (err error) {
		if second, err = jobrt.Enqueue(ctx, nil, send, work{N: 7}); err != nil {
			return err
		}
		child, err = jobrt.Enqueue(ctx, nil, archive, work{N: 8}, jobrt.After(second))
		return err
	})
	if err != nil || second.ID() != first.ID() || !second.Existed() || child.Existed() {
		t.Fatalf("%v; first %v, second %v", err, first, second)
	}
	info, err := env.Client.Job(ctx, child.ID())
	if err != nil || len(info.Parents) != 1 || info.Parents[0].ID != first.ID() {
		t.Errorf("the child waits for %+v, %v; want the holder", info.Parents, err)
	}
	env.Drain(t, reg)
	slices.Sort(r.what)
	if diff := cmp.Diff([]string{"Archive 7", "Archive 8", "Send 7"}, r.what); diff != "" {
		t.Errorf("ran (-want +got):\n%s", diff)
	}
}

// A handler that fails after it has stored a graph stores nothing twice when it runs again, and what it does in one
// transaction with its own end happens once.
func TestAHandlersGraphIsStoredOnce(t *testing.T) {
	for _, joined := range []bool{false, true} {
		t.Run(fmt.Sprintf("joined=%t", joined), func(t *testing.T) {
			ctx, env := jobtest.New(t)
			reg, r := jobrt.NewRegistry(), new(ran)
			mail, closing := newJob("Mail"), newJob("Close")
			mail.Next = []jobrt.Next{{Job: newJob("Tidy"), On: jobrt.IfEnded, Slot: jobrt.SlotNone, SameArgs: true}}
			r.serve(t, reg, mail, newJob("Tidy"))
			attempts := 0
			fan := func(ctx context.Context) error {
				return env.Client.Graph(ctx, func(ctx context.Context) error { // another client than the handler's
					b, err := env.Client.Batch(ctx, "mails", func(ctx context.Context) error {
						_, err := jobrt.EnqueueMany(ctx, nil, mail, []work{{N: 1}, {N: 1}})
						return err
					})
					if err != nil {
						return err
					}
					_, err = jobrt.Enqueue(ctx, nil, mail, work{N: 2}, jobrt.After(b))
					return err
				})
			}
			err := jobrt.Register(reg, closing, func(ctx context.Context, _ work) (done, error) {
				attempts++
				if !joined {
					if err := fan(ctx); err != nil {
						return done{}, err
					}
				} else {
					tx := env.Store.Begin()
					err := errors.Join(fan(jobrt.WithTx(ctx, tx)), jobrt.FinishInTx(ctx, tx, done{}))
					if err != nil || attempts == 1 {
						return done{}, errors.Join(errors.New("rolled back"), err, tx.Rollback())
					}
					return done{}, tx.Commit()
				}
				if attempts < 3 {
					return done{}, errors.New("crash after the graph")
				}
				return done{}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := jobrt.Enqueue(ctx, nil, closing, work{}); err != nil {
				t.Fatal(err)
			}
			for range 4 {
				env.Drain(t, reg)
				env.Store.Advance(1 << 45) // about ten hours: retries are due
				for _, j := range jobtest.Enqueued(t, env, closing) {
					if j.State == jobrt.StateScheduled {
						env.RunNext(t, reg)
					}
				}
			}
			env.Drain(t, reg)
			slices.Sort(r.what)
			if want := []string{"Mail 1", "Mail 1", "Mail 2", "Tidy 1", "Tidy 1", "Tidy 2"}; !slices.Equal(r.what, want) {
				t.Errorf("after %d attempts ran %q, want %q", attempts, r.what, want)
			}
		})
	}
}

func TestACancelledBatchTakesNoMore(t *testing.T) {
	ctx, env := jobtest.New(t)
	reg, r := jobrt.NewRegistry(), new(ran)
	mail, after := newJob("Mail"), newJob("After")
	r.serve(t, reg, mail, after)
	b, err := env.Client.Batch(ctx, "mails", func(ctx context.Context) error {
		_, err := jobrt.EnqueueMany(ctx, nil, mail, make([]work, 2))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jobrt.Enqueue(ctx, nil, after, work{}, jobrt.AfterEnd(b)); err != nil {
		t.Fatal(err)
	}
	if err := env.Client.CancelBatch(ctx, b.ID(), "customer left"); err != nil {
		t.Fatal(err)
	}
	var closed *jobrt.BatchClosedError
	if _, err := jobrt.Enqueue(ctx, nil, mail, work{}, jobrt.InBatch(b)); !errors.As(err, &closed) || closed.ID != b.ID() {
		t.Errorf("a new member: %v, want a BatchClosedError", err)
	}
	env.Drain(t, reg)
	if want := []string{"After 0"}; !slices.Equal(r.what, want) {
		t.Errorf("ran %q, want %q", r.what, want)
	}
	if info, err := b.Await(ctx); err != nil || info.State != jobrt.BatchCancelled || info.Cancelled != 2 {
		t.Errorf("batch %+v, %v", info, err)
	}
}
