package jobtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// mailJob is a job of the queue that another database keeps.
func mailJob(edits ...func(*jobrt.Job[SendInvoice, Receipt])) *jobrt.Job[SendInvoice, Receipt] {
	job := *SendInvoiceJob
	job.Kind, job.Settings.Queue = "shop/mail.Send", "email"
	for _, edit := range edits {
		edit(&job)
	}
	return &job
}

func byInvoice(j *jobrt.Job[SendInvoice, Receipt]) {
	j.UniqueKey = func(dst []byte, a *SendInvoice) ([]byte, error) { return fmt.Append(dst, a.InvoiceID), nil }
}

// faulty is a store that fails when it is told to.
type faulty struct {
	jobrt.Store
	mu      sync.Mutex
	insert  func(batch []jobrt.NewJob) error
	settles int // calls of SettleOutbox that are still to fail
	inserts int
	taken   func(jobrt.OutboxParcel)
	settled func(jobrt.OutboxEnd)
}

func (f *faulty) Unwrap() jobrt.Store { return f.Store }

func (f *faulty) Insert(ctx context.Context, tx jobrt.Tx, batch []jobrt.NewJob) ([]jobrt.Inserted, error) {
	f.mu.Lock()
	f.inserts++
	insert := f.insert
	f.mu.Unlock()
	if insert != nil {
		if err := insert(batch); err != nil {
			return nil, err
		}
	}
	return f.Store.Insert(ctx, tx, batch)
}

func (f *faulty) SettleOutbox(ctx context.Context, ends []jobrt.OutboxEnd) error {
	f.mu.Lock()
	fail := f.settles > 0
	f.settles--
	f.mu.Unlock()
	for _, e := range ends {
		if f.settled != nil {
			f.settled(e)
		}
	}
	if fail {
		return fmt.Errorf("cut off: %w", jobrt.ErrUnavailable)
	}
	return f.Store.SettleOutbox(ctx, ends)
}

// calls counts the calls of Insert.
func (f *faulty) calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inserts
}

func (f *faulty) TakeOutbox(ctx context.Context, r jobrt.OutboxRequest) ([]jobrt.OutboxParcel, error) {
	parcels, err := f.Store.TakeOutbox(ctx, r)
	for _, p := range parcels {
		if f.taken != nil {
			f.taken(p)
		}
	}
	return parcels, err
}

func (f *faulty) refuse(insert func(batch []jobrt.NewJob) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.insert = insert
}

// routed is a client on two databases, of which the second one keeps queue email.
type routed struct {
	*testing.T
	home, mail *jobtest.Memory
	homeStore  *faulty
	mailStore  *faulty
	client     *jobrt.Client
	ctx        context.Context
}

func newRouted(t *testing.T) *routed {
	t.Helper()
	r := &routed{T: t, home: jobtest.NewMemory(), mail: jobtest.NewMemory()}
	r.homeStore, r.mailStore = &faulty{Store: r.home}, &faulty{Store: r.mail}
	var err error
	r.client, err = jobrt.NewClient(r.homeStore, jobrt.ClientConfig{Routes: map[string]jobrt.Store{"email": r.mailStore}})
	if err != nil {
		t.Fatal(err)
	}
	r.ctx = jobrt.WithClient(t.Context(), r.client)
	return r
}

// relay runs a relay until the test ends.
func (r *routed) relay() (stop func()) {
	r.Helper()
	ctx, cancel := context.WithCancel(r.Context())
	done := make(chan error, 1)
	go func() { done <- jobrt.RunRelay(ctx, r.client, jobrt.RelayConfig{}) }()
	return func() {
		r.Helper()
		cancel()
		if err := <-done; err != nil {
			r.Errorf("relay: %v", err)
		}
	}
}

// send enqueues mails in a transaction of the default database and commits it.
func (r *routed) send(job *jobrt.Job[SendInvoice, Receipt], n int, opts ...jobrt.EnqueueOption) []jobrt.Handle[Receipt] {
	r.Helper()
	tx := r.home.Begin()
	var handles []jobrt.Handle[Receipt]
	for i := range n {
		h, err := jobrt.Enqueue(jobrt.WithTx(r.ctx, tx), nil, job, SendInvoice{InvoiceID: i, Email: "a@example.com"}, opts...)
		if err != nil {
			r.Fatal(err)
		}
		handles = append(handles, h)
	}
	if err := tx.Commit(); err != nil {
		r.Fatal(err)
	}
	return handles
}

func (r *routed) job(id jobrt.ID) jobrt.JobInfo {
	r.Helper()
	info, err := r.client.Job(r.ctx, id)
	if err != nil {
		r.Fatal(err)
	}
	return info
}

func (r *routed) wantAt(m *jobtest.Memory, ids ...jobrt.ID) {
	r.Helper()
	for _, id := range ids {
		if _, err := m.Job(r.ctx, id); err != nil {
			r.Errorf("job: %v", err)
		}
	}
	if all, _ := m.Jobs(r.ctx, jobrt.Filter{}); len(all) != len(ids) {
		r.Errorf("%d jobs are in the database, want %d", len(all), len(ids))
	}
}

func TestAnEnqueueGoesToTheDatabaseOfItsQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouted(t)
		here, err := jobrt.Enqueue(r.ctx, nil, SendInvoiceJob, SendInvoice{})
		there, err2 := jobrt.Enqueue(r.ctx, nil, mailJob(), SendInvoice{})
		moved, err3 := jobrt.Enqueue(r.ctx, nil, SendInvoiceJob, SendInvoice{}, jobrt.Queue("email"))
		if err := errors.Join(err, err2, err3); err != nil {
			t.Fatal(err)
		}
		r.wantAt(r.home, here.ID())
		r.wantAt(r.mail, there.ID(), moved.ID())
		for _, id := range []jobrt.ID{here.ID(), there.ID(), moved.ID()} {
			if info := r.job(id); info.State != jobrt.StateReady || info.Relaying != "" {
				t.Errorf("job: %+v", info)
			}
		}
		if h, err := jobrt.HandleOf(r.ctx, nil, SendInvoiceJob, moved.ID()); err != nil || h != moved {
			t.Errorf("handle of a job in another queue than its kind's: %v, %v", h, err)
		}
		if _, err := r.client.Job(r.ctx, jobrt.NewID()); !errors.Is(err, jobrt.ErrNotFound) {
			t.Errorf("unknown job: %v", err)
		}
	})
}

func TestATransactionsJobOfAnotherDatabaseIsRelayedAfterItsCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouted(t)
		seen := make(chan struct{}) // the relay waits until the job was seen on its way
		r.homeStore.taken = func(jobrt.OutboxParcel) { <-seen }
		defer r.relay()()
		tx := r.home.Begin()
		ctx := jobrt.WithTx(r.ctx, tx)
		here, err := jobrt.Enqueue(ctx, nil, SendInvoiceJob, SendInvoice{})
		there, err2 := jobrt.Enqueue(ctx, nil, mailJob(), SendInvoice{InvoiceID: 7, Email: "a@example.com"}, jobrt.Tags("new"))
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		r.wantAt(r.mail)
		if _, err := r.client.Job(r.ctx, there.ID()); !errors.Is(err, jobrt.ErrNotFound) {
			t.Fatalf("before the commit: %v", err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		info := r.job(there.ID())
		if info.State != jobrt.StateWaiting || info.Relaying == "" || info.Kind != "shop/mail.Send" || string(info.Args) != `{"invoice_id":7,"email":"a@example.com"}` {
			t.Errorf("on its way: %+v", info)
		}
		close(seen)
		synctest.Wait() // the commit wakes the relay
		r.wantAt(r.home, here.ID())
		r.wantAt(r.mail, there.ID())
		if info := r.job(there.ID()); info.State != jobrt.StateReady || info.Relaying != "" || len(info.Tags) != 1 {
			t.Errorf("relayed: %+v", info)
		}

		tx = r.home.Begin()
		lost, err := jobrt.Enqueue(jobrt.WithTx(r.ctx, tx), nil, mailJob(), SendInvoice{})
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if _, err := r.client.Job(r.ctx, lost.ID()); !errors.Is(err, jobrt.ErrNotFound) {
			t.Errorf("rolled back: %v", err)
		}
	})
}

func TestAJobOnItsWayIsSentAgainUnderAnotherKey(t *testing.T) {
	r := newRouted(t)
	r.mailStore.refuse(func([]jobrt.NewJob) error { return jobrt.ErrUnavailable })
	id := jobrt.NewID()
	for i, key := range []string{"old", "new"} {
		ring := &jobrt.Keyring{Current: key, Keys: map[string][]byte{"old": bytes.Repeat([]byte{1}, 32), "new": bytes.Repeat([]byte{2}, 32)}}
		client, err := jobrt.NewClient(r.homeStore, jobrt.ClientConfig{Routes: map[string]jobrt.Store{"email": r.mailStore}, Encryption: ring})
		if err != nil {
			t.Fatal(err)
		}
		send := func(args SendInvoice) error {
			tx := r.home.Begin()
			_, err := jobrt.Enqueue(jobrt.WithTx(jobrt.WithClient(r.ctx, client), tx), nil, mailJob(), args, jobrt.WithID(id))
			return errors.Join(err, tx.Commit())
		}
		if err := send(SendInvoice{InvoiceID: 7}); err != nil {
			t.Errorf("sent under key %s: %v", key, err)
		}
		if taken := (*jobrt.IDTakenError)(nil); i > 0 && !errors.As(send(SendInvoice{InvoiceID: 8}), &taken) {
			t.Error("another job of this id is accepted")
		}
	}
	if lines, err := r.home.OutboxBacklog(r.ctx, 10); err != nil || len(lines) == 0 {
		t.Errorf("backlog: %+v, %v", lines, err)
	}
}

func TestATransactionOfTheQueuesOwnDatabaseTakesTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouted(t)
		tx := r.mail.Begin()
		ctx := jobrt.WithTx(r.ctx, tx)
		there, err := jobrt.Enqueue(ctx, nil, mailJob(), SendInvoice{})
		here, err2 := jobrt.Enqueue(ctx, nil, SendInvoiceJob, SendInvoice{}) // the other way round
		if err := errors.Join(err, err2, tx.Commit()); err != nil {
			t.Fatal(err)
		}
		r.wantAt(r.mail, there.ID())
		r.wantAt(r.home)
		stop := r.relayQueues("billing")
		synctest.Wait()
		stop()
		r.wantAt(r.home, here.ID())

		foreign := jobtest.NewMemory().Begin()
		if _, err := jobrt.Enqueue(jobrt.WithTx(r.ctx, foreign), nil, mailJob(), SendInvoice{}); !errors.Is(err, jobrt.ErrOtherDatabase) {
			t.Errorf("transaction of a third database: %v", err)
		}
	})
}

// relayQueues is relay of queues of the default database, too.
func (r *routed) relayQueues(queues ...string) (stop func()) {
	ctx, cancel := context.WithCancel(r.Context())
	done := make(chan error, 1)
	go func() { done <- jobrt.RunRelay(ctx, r.client, jobrt.RelayConfig{Queues: queues}) }()
	return func() { cancel(); <-done }
}

func TestARefusedJobStaysInTheOutboxWithItsErrorAndOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouted(t)
		handles := r.send(mailJob(), 20)
		bad := handles[7].ID()
		r.mailStore.refuse(func(batch []jobrt.NewJob) error {
			for _, j := range batch {
				if j.ID == bad {
					return errors.New("no partition for it")
				}
			}
			return nil
		})
		stop := r.relay()
		synctest.Wait()
		info := r.job(bad)
		if info.State != jobrt.StateWaiting || !strings.Contains(info.Relaying, "no partition for it") {
			t.Errorf("refused: %+v", info)
		}
		if all, _ := r.mail.Jobs(r.ctx, jobrt.Filter{}); len(all) != 19 {
			t.Errorf("%d jobs are relayed, want 19", len(all))
		}
		lines, err := r.home.OutboxBacklog(r.ctx, 10)
		if err != nil || len(lines) != 1 || lines[0].Count != 1 || lines[0].Refused != 1 || lines[0].Error != "no partition for it" {
			t.Errorf("backlog: %+v, %v", lines, err)
		}
		r.mailStore.refuse(nil)
		time.Sleep(3 * time.Second)
		r.job(bad)
		stop()
		if all, _ := r.mail.Jobs(r.ctx, jobrt.Filter{}); len(all) != 20 {
			t.Errorf("%d jobs are relayed, want 20", len(all))
		}
	})
}

func TestADatabaseThatIsAwayGetsItsJobsWhenItIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouted(t)
		r.mailStore.refuse(func([]jobrt.NewJob) error { return fmt.Errorf("connection refused: %w", jobrt.ErrUnavailable) })
		stop := r.relay()
		handles := r.send(mailJob(), 300)
		time.Sleep(10 * time.Minute)
		if n := r.mailStore.calls(); n > 2000 {
			t.Errorf("a database that is away was asked %d times in ten minutes", n)
		}
		if info := r.job(handles[0].ID()); !strings.Contains(info.Relaying, "away: connection refused") {
			t.Errorf("on its way: %q", info.Relaying)
		}
		r.mailStore.refuse(nil)
		time.Sleep(5 * time.Second)
		stop()
		var ids []jobrt.ID
		for _, h := range handles {
			ids = append(ids, h.ID())
		}
		all, err := r.mail.Jobs(r.ctx, jobrt.Filter{Limit: 1000})
		if err != nil || len(all) != len(ids) {
			t.Errorf("%d jobs are relayed, %v", len(all), err)
		}
		if lines, _ := r.home.OutboxBacklog(r.ctx, 10); len(lines) != 0 {
			t.Errorf("left: %+v", lines)
		}
	})
}

func TestAnOutageIsNotHeldAgainstAJobThatIsRefusedAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouted(t)
		r.mailStore.refuse(func([]jobrt.NewJob) error { return fmt.Errorf("connection refused: %w", jobrt.ErrUnavailable) })
		stop := r.relay()
		r.send(mailJob(), 1)
		time.Sleep(5 * time.Minute)
		r.mailStore.refuse(func([]jobrt.NewJob) error { return errors.New("what it waits for is still on its way") })
		time.Sleep(3 * time.Second)
		r.mailStore.refuse(nil)
		time.Sleep(time.Minute)
		stop()
		if all, _ := r.mail.Jobs(r.ctx, jobrt.Filter{}); len(all) != 1 {
			lines, err := r.home.Outbox(r.ctx, "", 0)
			t.Errorf("after a minute the job is still in the outbox: %+v, %v", lines, err)
		}
	})
}

func TestARelayThatIsCutOffBeforeItSettlesDoesNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouted(t)
		h := r.send(mailJob(), 1)[0]
		r.homeStore.settles = 1
		stop := r.relay()
		synctest.Wait()
		r.wantAt(r.mail, h.ID())
		// The job has run and ended before it is relayed once more.
		e := jobtest.Env{Store: r.mail}
		e.RunNext(t, mailRegistry(t, mailJob()))
		time.Sleep(2 * time.Minute)
		stop()
		if r.mailStore.calls() < 2 {
			t.Error("it was not relayed again, so this shows nothing")
		}
		if info := r.job(h.ID()); info.State != jobrt.StateSucceeded {
			t.Errorf("job: %+v", info)
		}
		r.wantAt(r.mail, h.ID())
		if _, err := r.home.Stowed(r.ctx, h.ID()); !errors.Is(err, jobrt.ErrNotFound) {
			t.Errorf("outbox: %v", err)
		}
	})
}

func mailRegistry(tb testing.TB, job *jobrt.Job[SendInvoice, Receipt]) *jobrt.Registry {
	tb.Helper()
	reg := jobrt.NewRegistry()
	if err := jobrt.Register(reg, job, sendInvoice); err != nil {
		tb.Fatal(err)
	}
	return reg
}

func TestAHandleOfAJobThatMetItsUniqueKeyOnTheWayFindsTheHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouted(t)
		job := mailJob(byInvoice, func(j *jobrt.Job[SendInvoice, Receipt]) { j.Settings.KeepResult = true })
		holder, err := jobrt.Enqueue(r.ctx, nil, job, SendInvoice{InvoiceID: 0, Email: "first@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		met := r.send(job, 1)[0]
		stop := r.relay()
		synctest.Wait()
		stop()
		r.wantAt(r.mail, holder.ID())
		if info := r.job(met.ID()); info.ID != holder.ID() || info.Relaying != "" {
			t.Errorf("job: %+v, want the holder", info)
		}
		e := jobtest.Env{Store: r.mail}
		e.RunNext(t, mailRegistry(t, job))
		if got, err := met.Await(r.ctx); err != nil || got.MessageID != "m0" {
			t.Errorf("await: %+v, %v", got, err)
		}
	})
}

func TestTimeOnTheWayCountsForDelaysAndExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouted(t)
		now := time.Now()
		delayed := r.send(mailJob(), 1, jobrt.Delay(time.Hour))[0]
		overdue := r.send(mailJob(), 1, jobrt.Delay(time.Minute))[0]
		at := r.send(mailJob(), 1, jobrt.At(now.Add(2*time.Hour)))[0]
		time.Sleep(30 * time.Minute)
		stop := r.relay()
		synctest.Wait()
		stop()
		for _, c := range []struct {
			id  jobrt.ID
			due time.Duration
		}{{delayed.ID(), time.Hour}, {overdue.ID(), 30 * time.Minute}, {at.ID(), 2 * time.Hour}} {
			if got := r.job(c.id).RunAt.Sub(now).Round(time.Second); got != c.due {
				t.Errorf("due after %v, want %v", got, c.due)
			}
		}
	})
}

func TestAGraphOfAnotherDatabaseIsRelayedAllOrNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouted(t)
		tx := r.home.Begin()
		ctx := jobrt.WithTx(r.ctx, tx)
		var first, second jobrt.Handle[Receipt]
		batch, err := r.client.Batch(ctx, "mails", func(ctx context.Context) (err error) {
			if first, err = jobrt.Enqueue(ctx, nil, mailJob(), SendInvoice{InvoiceID: 1}); err != nil {
				return err
			}
			second, err = jobrt.Enqueue(ctx, nil, mailJob(), SendInvoice{InvoiceID: 2}, jobrt.After(first))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		after, err := jobrt.Enqueue(ctx, nil, mailJob(), SendInvoice{InvoiceID: 3}, jobrt.AfterEnd(batch))
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		info, err := r.client.BatchInfo(r.ctx, batch.ID())
		if err != nil || info.State != jobrt.BatchOpen || info.Total != 2 || info.Name != "mails" || info.Relaying == "" {
			t.Errorf("on its way: %+v, %v", info, err)
		}
		if err := r.client.CancelBatch(r.ctx, batch.ID(), "no"); err == nil || !strings.Contains(err.Error(), "on its way") {
			t.Errorf("cancel: %v", err)
		}
		stop := r.relay()
		synctest.Wait()
		stop()
		r.wantAt(r.mail, first.ID(), second.ID(), after.ID())
		info, err = r.client.BatchInfo(r.ctx, batch.ID())
		if err != nil || info.Total != 2 || info.Relaying != "" {
			t.Errorf("batch: %+v, %v", info, err)
		}
		if r.job(second.ID()).State != jobrt.StateWaiting || r.job(after.ID()).State != jobrt.StateWaiting {
			t.Error("children do not wait")
		}
		if err := r.client.CancelBatch(r.ctx, batch.ID(), "no"); err != nil {
			t.Error(err)
		}
	})
}

func TestWhatMustBeOneIsRefusedAcrossDatabases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouted(t)
		here, err := jobrt.Enqueue(r.ctx, nil, SendInvoiceJob, SendInvoice{})
		if err != nil {
			t.Fatal(err)
		}
		batch, err := r.client.Batch(r.ctx, "here", func(ctx context.Context) error {
			_, err := jobrt.Enqueue(ctx, nil, SendInvoiceJob, SendInvoice{})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		chained := mailJob(func(j *jobrt.Job[SendInvoice, Receipt]) {
			j.Next = []jobrt.Next{{Job: CloseMonthJob, On: jobrt.IfSucceeded, Slot: jobrt.SlotNone}}
		})
		for name, enqueue := range map[string]func() error{
			"a parent": func() error {
				_, err := jobrt.Enqueue(r.ctx, nil, mailJob(), SendInvoice{}, jobrt.After(here))
				return err
			},
			"a batch": func() error {
				_, err := jobrt.Enqueue(r.ctx, nil, mailJob(), SendInvoice{}, jobrt.After(batch))
				return err
			},
			"a member": func() error {
				_, err := jobrt.Enqueue(r.ctx, nil, mailJob(), SendInvoice{}, jobrt.InBatch(batch))
				return err
			},
			"a continuation": func() error { _, err := jobrt.Enqueue(r.ctx, nil, chained, SendInvoice{}); return err },
			"a graph": func() error {
				return r.client.Graph(r.ctx, func(ctx context.Context) error {
					_, err := jobrt.Enqueue(ctx, nil, SendInvoiceJob, SendInvoice{})
					_, err2 := jobrt.Enqueue(ctx, nil, mailJob(), SendInvoice{})
					return errors.Join(err, err2)
				})
			},
			"many": func() error {
				_, err := jobrt.EnqueueMany(r.ctx, nil, SendInvoiceJob, make([]SendInvoice, 2), jobrt.Each(func(i int) []jobrt.EnqueueOption {
					return []jobrt.EnqueueOption{jobrt.Queue([]string{"billing", "email"}[i])}
				}))
				return err
			},
			"a unique key": func() error {
				_, err := jobrt.Enqueue(r.ctx, nil, mailJob(byInvoice), SendInvoice{}, jobrt.Queue("billing"))
				return err
			},
		} {
			err := enqueue()
			var refused *jobrt.RouteError
			if !errors.As(err, &refused) || !errors.Is(err, jobrt.ErrOtherStore) || !strings.Contains(err.Error(), `"email"`) {
				t.Errorf("%s: got %v, want a RouteError that names the queues", name, err)
			}
		}
		r.wantAt(r.mail)
	})
}

func TestAPoolServesTheQueuesOfItsDatabase(t *testing.T) {
	r := newRouted(t)
	reg := registry(t, sendInvoice)
	if err := jobrt.Register(reg, mailJob(), sendInvoice); err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]jobrt.PoolConfig{
		"queues": {Queues: []jobrt.QueueConfig{{Name: "billing"}, {Name: "email"}}},
		"slots":  {Slots: 2, Order: jobrt.Strict("billing", "email")},
	} {
		if _, err := jobrt.NewPool(r.client, reg, config); err == nil || !strings.Contains(err.Error(), `client.ForQueue("email")`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := jobrt.NewPools(r.client, reg, jobrt.PoolConfig{Slots: 2, Order: jobrt.Strict("billing", "email")}); err == nil {
		t.Error("slots were shared by two databases")
	}
	if _, err := jobrt.NewPool(r.client.ForQueue("email"), registry(t, sendInvoice), jobrt.PoolConfig{}); err == nil {
		t.Error("a pool without a queue was made")
	}
	pools, err := jobrt.NewPools(r.client, reg, jobrt.PoolConfig{Queues: []jobrt.QueueConfig{{Name: "email", Workers: 1}}})
	if err != nil || len(pools) != 1 {
		t.Errorf("%d pools, %v; want that of email", len(pools), err)
	}

	next := jobrt.NewRegistry()
	err = jobrt.Register(next, mailJob(func(j *jobrt.Job[SendInvoice, Receipt]) {
		j.Next = []jobrt.Next{{Job: CloseMonthJob, On: jobrt.IfSucceeded, Slot: jobrt.SlotNone}}
	}), sendInvoice)
	if err != nil {
		t.Fatal(err)
	}
	_, err = jobrt.NewPool(r.client.ForQueue("email"), next, jobrt.PoolConfig{})
	var refused *jobrt.RouteError
	if !errors.As(err, &refused) || refused.Queue != "email" || refused.Other != "default" {
		t.Errorf("a chain across databases: %v", err)
	}

	typed := mailJob(func(j *jobrt.Job[SendInvoice, Receipt]) {
		j.Parents = []jobrt.ParentType{jobrt.ParentOf(codec[Receipt]("2222222222222222"))}
		j.Result = codec[Receipt]("3333333333333333")
	})
	filed := *CloseMonthJob
	if err := jobrt.CheckRoutes(r.client, typed, &filed); err != nil { // typed itself returns what it takes
		t.Error(err)
	}
	other := &jobrt.Job[SendInvoice, string]{Kind: "shop/mail.File", Settings: typed.Settings, Parents: typed.Parents}
	err = jobrt.CheckRoutes(r.client, other, SendInvoiceJob)
	if !errors.As(err, &refused) || refused.Queue != "email" || refused.Other != "billing" {
		t.Errorf("a result across databases: %v", err)
	}
}

func TestPoolsOfTwoDatabasesWorkTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouted(t)
		mail := mailJob(func(j *jobrt.Job[SendInvoice, Receipt]) { j.Settings.KeepResult = true })
		var sent jobrt.Handle[Receipt]
		reg := jobrt.NewRegistry()
		err := errors.Join(
			jobrt.Register(reg, SendInvoiceJob, func(ctx context.Context, a SendInvoice) (_ Receipt, err error) {
				if jobrt.ClientFrom(ctx).Store() != jobrt.Store(r.homeStore) {
					t.Error("the client of the handler is not on the running job's database")
				}
				tx := r.home.Begin()
				sent, err = jobrt.Enqueue(jobrt.WithTx(ctx, tx), nil, mail, a)
				return Receipt{}, errors.Join(err, tx.Commit())
			}),
			jobrt.Register(reg, mail, func(ctx context.Context, a SendInvoice) (Receipt, error) {
				if jobrt.ClientFrom(ctx).Store() != jobrt.Store(r.mailStore) {
					t.Error("the client of the handler is not on the running job's database")
				}
				if _, err := jobrt.Enqueue(ctx, nil, CloseMonthJob, jobrt.None{}); err != nil { // back to the default database
					return Receipt{}, err
				}
				return sendInvoice(ctx, a)
			}),
			jobrt.Register(reg, CloseMonthJob, func(context.Context, jobrt.None) (jobrt.None, error) { return jobrt.None{}, nil }),
		)
		if err != nil {
			t.Fatal(err)
		}
		pools, err := jobrt.NewPools(r.client, reg, jobrt.PoolConfig{})
		if err != nil || len(pools) != 2 {
			t.Fatalf("%d pools, %v", len(pools), err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- jobrt.RunPools(ctx, pools...) }()
		h, err := jobrt.Enqueue(r.ctx, nil, SendInvoiceJob, SendInvoice{InvoiceID: 4, Email: "a@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		synctest.Wait()
		for r.job(h.ID()).State != jobrt.StateSucceeded {
			time.Sleep(time.Millisecond)
		}
		if got, err := sent.Await(r.ctx); err != nil || got.MessageID != "m4" {
			t.Errorf("mail: %+v, %v", got, err)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("it took %v: no wake-ups", d)
		}
		time.Sleep(time.Second)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		closed, err := r.home.Jobs(r.ctx, jobrt.Filter{Kind: CloseMonthJob.Kind, States: []jobrt.State{jobrt.StateSucceeded}})
		if err != nil || len(closed) != 1 {
			t.Errorf("%d jobs came back, %v", len(closed), err)
		}
	})
}

func TestAJobThatOvertakesWhatItWaitsForFollowsItThroughTheOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouted(t)
		parent := r.send(mailJob(), 1)[0]
		tx := r.home.Begin()
		batch, err := r.client.Batch(jobrt.WithTx(r.ctx, tx), "mails", func(ctx context.Context) error {
			_, err := jobrt.Enqueue(ctx, nil, mailJob(), SendInvoice{InvoiceID: 5})
			return err
		})
		if err := errors.Join(err, tx.Commit()); err != nil {
			t.Fatal(err)
		}
		child, err := jobrt.Enqueue(r.ctx, nil, mailJob(), SendInvoice{InvoiceID: 1}, jobrt.After(parent))
		member, err2 := jobrt.Enqueue(r.ctx, nil, mailJob(), SendInvoice{InvoiceID: 2}, jobrt.InBatch(batch))
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		r.wantAt(r.mail)
		_, err = jobrt.Enqueue(r.ctx, nil, mailJob(), SendInvoice{}, jobrt.After(handleOf(t, jobrt.NewID())))
		if !errors.Is(err, jobrt.ErrNotFound) {
			t.Errorf("a parent that is nowhere: %v", err)
		}
		stop := r.relay()
		synctest.Wait()
		stop()
		if all, _ := r.mail.Jobs(r.ctx, jobrt.Filter{}); len(all) != 4 {
			t.Fatalf("%d jobs are relayed, want 4", len(all))
		}
		if info := r.job(child.ID()); info.State != jobrt.StateWaiting || len(info.Parents) != 1 || info.Parents[0].ID != parent.ID() {
			t.Errorf("child: %+v", info)
		}
		if r.job(member.ID()).Batch != batch.ID() {
			t.Error("the member is not in its batch")
		}
	})
}

// handleOf is an unbound handle, as from a job's arguments.
func handleOf(t *testing.T, id jobrt.ID) jobrt.Handle[Receipt] {
	t.Helper()
	var h jobrt.Handle[Receipt]
	if err := h.UnmarshalJSON([]byte(`"` + id.String() + `"`)); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestAJobWaitsForTheHolderOfItsParentsUniqueKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouted(t)
		job := mailJob(byInvoice)
		holder, err := jobrt.Enqueue(r.ctx, nil, job, SendInvoice{})
		if err != nil {
			t.Fatal(err)
		}
		met := r.send(job, 1)[0]
		early := r.send(mailJob(), 1, jobrt.After(met))[0] // on its way with it
		stop := r.relay()
		defer func() { stop() }()
		synctest.Wait()
		late, err := jobrt.Enqueue(r.ctx, nil, mailJob(), SendInvoice{InvoiceID: 9}, jobrt.After(met))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, h := range []jobrt.Handle[Receipt]{early, late} {
			if info := r.job(h.ID()); info.State != jobrt.StateWaiting || len(info.Parents) != 1 || info.Parents[0].ID != holder.ID() {
				t.Errorf("child: %+v", info)
			}
		}
	})
}

func TestARoundOfTheRelayEndsBeforeItsHoldDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouted(t)
		r.mailStore.refuse(func([]jobrt.NewJob) error { time.Sleep(15 * time.Second); return errors.New("slow, and no") })
		r.send(mailJob(), 20)
		begun := make(map[jobrt.ID]time.Time)
		r.homeStore.settled = func(e jobrt.OutboxEnd) {
			if d := time.Since(begun[e.Parcel]); d > time.Minute {
				t.Errorf("a parcel was held for %v", d)
			}
		}
		r.homeStore.taken = func(p jobrt.OutboxParcel) { begun[p.ID] = time.Now() }
		stop := r.relay()
		time.Sleep(20 * time.Minute)
		stop()
	})
}
