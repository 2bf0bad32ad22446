package mistakes

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/jobgen/jobgen/internal/pgtest"
)

func TestEnqueueOutsideTheTransaction(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		pool := riverPool(t)
		client := riverInserter(t, pool)
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		id := riverInsert(t, client, invoiceArgs{InvoiceID: 7}, nil) // InsertTx was meant
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		riverJob(t, client, id, "the job to be there", func(job *rivertype.JobRow) bool { return job.State == rivertype.JobStateAvailable })
	})
	t.Run("asynq", func(t *testing.T) {
		pool, redis := openPool(t, pgtest.Start(t).NewDatabase(t)), asynqRedis(t)
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		id := asynqEnqueue(t, redis, "invoice:send", invoiceArgs{InvoiceID: 7}) // nothing else is possible
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		asynqTask(t, redis, "default", id, "the task to be there", func(task *asynq.TaskInfo) bool { return task.State == asynq.TaskStatePending })
	})
}

// deafWorker looks at nobody's context.
type deafWorker struct {
	river.WorkerDefaults[invoiceArgs]
	end chan struct{}
}

func (*deafWorker) Timeout(*river.Job[invoiceArgs]) time.Duration { return 50 * time.Millisecond }

func (w *deafWorker) Work(context.Context, *river.Job[invoiceArgs]) error {
	<-w.end
	return nil
}

func TestHandlerThatIgnoresItsContext(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		var said log
		workers, deaf := riverWorkers(), &deafWorker{end: make(chan struct{})}
		river.AddWorker(workers, deaf)
		client := riverClient(t, riverPool(t), river.Config{
			Workers:           workers,
			Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1}},
			JobStuckThreshold: 50 * time.Millisecond,
			Logger:            slog.New(slog.NewTextHandler(&said, nil)),
		})
		riverStart(t, client)
		id := riverInsert(t, client, invoiceArgs{}, nil)
		eventually(t, "River to call it stuck", func(context.Context) bool { return strings.Contains(said.String(), "stuck") })
		job := riverJob(t, client, id, "the job to be there", func(*rivertype.JobRow) bool { return true })
		if job.State != rivertype.JobStateRunning {
			t.Errorf("the job is %s", job.State)
		}
		close(deaf.end)
		riverJob(t, client, id, "the job to complete, late as it is", riverCompleted)
	})
	t.Run("asynq", func(t *testing.T) {
		redis, end, started := asynqRedis(t), make(chan struct{}), make(chan struct{}, 2)
		asynqServe(t, redis, asynqMux("deaf", func(context.Context, struct{}) error {
			started <- struct{}{}
			<-end
			return nil
		}))
		id := asynqEnqueue(t, redis, "deaf", struct{}{}, asynq.Timeout(time.Second), asynq.MaxRetry(1))
		// The task is taken to have failed and is started again beside itself.
		<-started
		<-started
		close(end)
		task := asynqTask(t, redis, "default", id, "the task to end", func(task *asynq.TaskInfo) bool {
			return asynqCompleted(task) || task.State == asynq.TaskStateArchived
		})
		if !strings.Contains(task.LastErr, context.DeadlineExceeded.Error()) {
			t.Errorf("it failed with %q", task.LastErr)
		}
	})
}

// log is a writer that several goroutines use.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

type mailer interface{ send(to string) error }

// needyWorker needs a mailer, and nobody has given it one.
type needyWorker struct {
	river.WorkerDefaults[invoiceArgs]
	mail mailer
}

func (w *needyWorker) Work(_ context.Context, job *river.Job[invoiceArgs]) error {
	return w.mail.send(job.Args.Email)
}

func TestMissingDependency(t *testing.T) {
	const want = "nil pointer dereference"
	t.Run("river", func(t *testing.T) {
		workers := riverWorkers()
		river.AddWorker(workers, &needyWorker{})
		client := riverWorking(t, riverPool(t), workers)
		id := riverInsert(t, client, invoiceArgs{}, nil)
		job := riverJob(t, client, id, "the job to fail", riverFailed)
		if !strings.Contains(job.Errors[0].Error, want) {
			t.Errorf("it failed with %q", job.Errors[0].Error)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		var mail mailer
		asynqServe(t, redis, asynqMux("invoice:send", func(_ context.Context, a invoiceArgs) error { return mail.send(a.Email) }))
		id := asynqEnqueue(t, redis, "invoice:send", invoiceArgs{})
		task := asynqTask(t, redis, "default", id, "the task to fail", asynqFailed)
		if !strings.Contains(task.LastErr, want) {
			t.Errorf("it failed with %q", task.LastErr)
		}
	})
}

func TestTablesThatAreMissing(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		pool := openPool(t, pgtest.Start(t).NewDatabase(t))
		client := riverClient(t, pool, river.Config{
			Workers: riverWorkers(),
			Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1}},
		})
		err := client.Start(t.Context())
		if err == nil || !strings.Contains(err.Error(), "river_queue") {
			t.Errorf("start: %v", err)
		}
	})
}
