package mistakes

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
)

func TestTypoInAQueue(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		pool, workers := riverPool(t), riverWorkers()
		addRiver(workers, func(context.Context, *river.Job[invoiceArgs]) error { return nil })
		client := riverWorking(t, pool, workers)
		id := riverInsert(t, client, invoiceArgs{}, &river.InsertOpts{Queue: "biling"})
		riverBarrier(t, pool, client)
		job := riverJob(t, client, id, "the job to be there", func(*rivertype.JobRow) bool { return true })
		if job.State != rivertype.JobStateAvailable || riverFailed(job) {
			t.Errorf("the job is %s, errors %v", job.State, job.Errors)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		asynqServe(t, redis, asynqMux("invoice:send", func(context.Context, invoiceArgs) error { return nil }))
		id := asynqEnqueue(t, redis, "invoice:send", invoiceArgs{}, asynq.Queue("biling"))
		later := asynqEnqueue(t, redis, "invoice:send", invoiceArgs{})
		asynqTask(t, redis, "default", later, "a later task to complete", asynqCompleted)
		task := asynqTask(t, redis, "biling", id, "the task to be there", func(*asynq.TaskInfo) bool { return true })
		if task.State != asynq.TaskStatePending || asynqFailed(task) {
			t.Errorf("the task is %s, error %q", task.State, task.LastErr)
		}
	})
}

func TestTypoInASetting(t *testing.T) {
	t.Run("river", func(t *testing.T) { doesNotCompile(t, "river_setting_typo") })
	t.Run("asynq", func(t *testing.T) { doesNotCompile(t, "asynq_setting_typo") })
}

func TestSettingThatStandsTwice(t *testing.T) {
	t.Run("river", func(t *testing.T) { doesNotCompile(t, "river_setting_twice") })
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		id := asynqEnqueue(t, redis, "twice", invoiceArgs{}, asynq.MaxRetry(3), asynq.MaxRetry(7))
		task := asynqTask(t, redis, "default", id, "the task to be stored", func(*asynq.TaskInfo) bool { return true })
		if task.MaxRetry != 7 {
			t.Errorf("retries: %d", task.MaxRetry)
		}
	})
}

func TestSettingsThatContradict(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		_, err := river.NewClient(riverpgxv5.New(riverPool(t)), &river.Config{FetchCooldown: time.Second, FetchPollInterval: time.Millisecond})
		if err == nil || !strings.Contains(err.Error(), "FetchPollInterval cannot be shorter than FetchCooldown") {
			t.Errorf("new client: %v", err)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		id := asynqEnqueue(t, redis, "when", invoiceArgs{}, asynq.ProcessIn(time.Hour), asynq.ProcessAt(time.Now().Add(-time.Hour)))
		task := asynqTask(t, redis, "default", id, "the task to be stored", func(*asynq.TaskInfo) bool { return true })
		if task.State != asynq.TaskStatePending {
			t.Errorf("the task is %s", task.State)
		}
	})
}

// unitlessWorker has a timeout of thirty nanoseconds.
type unitlessWorker struct {
	river.WorkerDefaults[invoiceArgs]
}

func (unitlessWorker) Timeout(*river.Job[invoiceArgs]) time.Duration { return 30 }

func (unitlessWorker) Work(ctx context.Context, _ *river.Job[invoiceArgs]) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestMissingUnit(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		workers := riverWorkers()
		river.AddWorker(workers, unitlessWorker{})
		client := riverWorking(t, riverPool(t), workers)
		id := riverInsert(t, client, invoiceArgs{}, nil)
		job := riverJob(t, client, id, "the job to fail", riverFailed)
		if !strings.Contains(job.Errors[0].Error, context.DeadlineExceeded.Error()) {
			t.Errorf("it failed with %q", job.Errors[0].Error)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		id := asynqEnqueue(t, redis, "invoice:send", invoiceArgs{}, asynq.Timeout(30))
		// Thirty nanoseconds are no seconds, and no seconds are no timeout.
		task := asynqTask(t, redis, "default", id, "the task to be stored", func(*asynq.TaskInfo) bool { return true })
		if task.Timeout != 0 {
			t.Errorf("timeout: %s", task.Timeout)
		}
	})
}

// uniqueArgs should be unique by InvoiceID, but for a typo in the tag.
type uniqueArgs struct {
	InvoiceID int64  `json:"invoice_id" river:"uniqe"`
	Note      string `json:"note"`
}

func (uniqueArgs) Kind() string { return "unique" }

func TestUniqueByAFieldThatDoesNotExist(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		client := riverInserter(t, riverPool(t))
		opts := &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}}
		first := riverInsert(t, client, uniqueArgs{InvoiceID: 1, Note: "a"}, opts)
		if second := riverInsert(t, client, uniqueArgs{InvoiceID: 1, Note: "b"}, opts); second == first {
			t.Error("the second was taken for a duplicate")
		}
	})
}

func TestMisspeltPermanentError(t *testing.T) {
	t.Run("river", func(t *testing.T) { doesNotCompile(t, "river_permanent_typo") })
	t.Run("asynq", func(t *testing.T) { doesNotCompile(t, "asynq_permanent_typo") })
}

func TestPaymentWithoutALedger(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		workers, charged := riverWorkers(), make(chan int64, 2)
		addRiver(workers, func(_ context.Context, job *river.Job[invoiceArgs]) error {
			charged <- job.Args.InvoiceID
			if job.Attempt == 1 {
				return errors.New("the answer was lost")
			}
			return nil
		})
		client := riverWorking(t, riverPool(t), workers)
		id := riverInsert(t, client, invoiceArgs{InvoiceID: 7}, nil)
		riverJob(t, client, id, "the job to complete", riverCompleted)
		if len(charged) != 2 {
			t.Errorf("charged %d times", len(charged))
		}
	})
	t.Run("asynq", func(t *testing.T) {
		redis, charged := asynqRedis(t), make(chan int64, 2)
		asynqServe(t, redis, asynqMux("charge", func(ctx context.Context, a invoiceArgs) error {
			charged <- a.InvoiceID
			if n, _ := asynq.GetRetryCount(ctx); n == 0 {
				return errors.New("the answer was lost")
			}
			return nil
		}))
		id := asynqEnqueue(t, redis, "charge", invoiceArgs{InvoiceID: 7})
		asynqTask(t, redis, "default", id, "the task to complete", asynqCompleted)
		if len(charged) != 2 {
			t.Errorf("charged %d times", len(charged))
		}
	})
}

func TestRiskyWorkOnDefaultRetries(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		client := riverInserter(t, riverPool(t))
		id := riverInsert(t, client, invoiceArgs{}, nil)
		job := riverJob(t, client, id, "the job to be there", func(*rivertype.JobRow) bool { return true })
		if job.MaxAttempts != 25 {
			t.Errorf("attempts: %d", job.MaxAttempts)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		id := asynqEnqueue(t, redis, "charge", invoiceArgs{})
		task := asynqTask(t, redis, "default", id, "the task to be stored", func(*asynq.TaskInfo) bool { return true })
		if task.MaxRetry != 25 {
			t.Errorf("retries: %d", task.MaxRetry)
		}
	})
}
