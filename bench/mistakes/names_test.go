package mistakes

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

func TestRenamedJob(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		pool := riverPool(t)
		client := riverWorking(t, pool, riverWorkers()) // the new build does not know invoiceArgs
		id := riverInsert(t, riverInserter(t, pool), invoiceArgs{}, nil)
		job := riverJob(t, client, id, "the job to fail", riverFailed)
		if !strings.Contains(job.Errors[0].Error, "job kind is not registered in the client's Workers bundle: invoice:send") {
			t.Errorf("it failed with %q", job.Errors[0].Error)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		asynqServe(t, redis, asynqMux("invoice:mail", func(context.Context, invoiceArgs) error { return nil }))
		id := asynqEnqueue(t, redis, "invoice:send", invoiceArgs{}, asynq.MaxRetry(1))
		task := asynqTask(t, redis, "default", id, "the task to be given up", func(task *asynq.TaskInfo) bool {
			return task.State == asynq.TaskStateArchived
		})
		if !strings.Contains(task.LastErr, `handler not found for task "invoice:send"`) {
			t.Errorf("it failed with %q", task.LastErr)
		}
	})
}

// What yesterday's build stored under the kind invoice:send.
type yesterdayArgs struct {
	Number string `json:"number"`
	Email  string `json:"email"`
	Copies int    `json:"copies"`
}

func (yesterdayArgs) Kind() string { return "invoice:send" }

var yesterday = yesterdayArgs{Number: "R-7", Email: "a@example.com", Copies: 2}

// The same with number called no.
type renamedFieldArgs struct {
	No     string `json:"no"`
	Email  string `json:"email"`
	Copies int    `json:"copies"`
}

func (renamedFieldArgs) Kind() string { return "invoice:send" }

// The same without copies.
type removedFieldArgs struct {
	Number string `json:"number"`
	Email  string `json:"email"`
}

func (removedFieldArgs) Kind() string { return "invoice:send" }

// The same with number as a number.
type retypedFieldArgs struct {
	Number int64  `json:"number"`
	Email  string `json:"email"`
	Copies int    `json:"copies"`
}

func (retypedFieldArgs) Kind() string { return "invoice:send" }

func TestRenamedField(t *testing.T) {
	want := renamedFieldArgs{Email: yesterday.Email, Copies: yesterday.Copies}
	t.Run("river", func(t *testing.T) { riverRunsYesterday(t, want) })
	t.Run("asynq", func(t *testing.T) { asynqRunsYesterday(t, want) })
}

func TestRemovedField(t *testing.T) {
	want := removedFieldArgs{Number: yesterday.Number, Email: yesterday.Email}
	t.Run("river", func(t *testing.T) { riverRunsYesterday(t, want) })
	t.Run("asynq", func(t *testing.T) { asynqRunsYesterday(t, want) })
}

// riverRunsYesterday runs a job of yesterday as one of arguments A, and checks
// what its worker gets.
func riverRunsYesterday[A interface {
	river.JobArgs
	comparable
}](t *testing.T, want A) {
	workers, got := riverWorkers(), make(chan A, 1)
	addRiver(workers, func(_ context.Context, job *river.Job[A]) error {
		got <- job.Args
		return nil
	})
	client := riverWorking(t, riverPool(t), workers)
	id := riverInsert(t, client, yesterday, nil)
	riverJob(t, client, id, "the job to complete", riverCompleted)
	if a := <-got; a != want {
		t.Errorf("the worker got %+v, want %+v", a, want)
	}
}

func asynqRunsYesterday[A comparable](t *testing.T, want A) {
	redis, got := asynqRedis(t), make(chan A, 1)
	asynqServe(t, redis, asynqMux("invoice:send", func(_ context.Context, a A) error {
		got <- a
		return nil
	}))
	id := asynqEnqueue(t, redis, "invoice:send", yesterday)
	asynqTask(t, redis, "default", id, "the task to complete", asynqCompleted)
	if a := <-got; a != want {
		t.Errorf("the handler got %+v, want %+v", a, want)
	}
}

func TestRetypedField(t *testing.T) {
	const want = "cannot unmarshal string into Go struct field retypedFieldArgs.number of type int64"
	t.Run("river", func(t *testing.T) {
		workers := riverWorkers()
		addRiver(workers, func(context.Context, *river.Job[retypedFieldArgs]) error { return nil })
		client := riverWorking(t, riverPool(t), workers)
		id := riverInsert(t, client, yesterday, nil)
		job := riverJob(t, client, id, "the job to fail", riverFailed)
		if !strings.Contains(job.Errors[0].Error, want) {
			t.Errorf("it failed with %q", job.Errors[0].Error)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		asynqServe(t, redis, asynqMux("invoice:send", func(context.Context, retypedFieldArgs) error { return nil }))
		id := asynqEnqueue(t, redis, "invoice:send", yesterday)
		task := asynqTask(t, redis, "default", id, "the task to fail", asynqFailed)
		if !strings.Contains(task.LastErr, want) {
			t.Errorf("it failed with %q", task.LastErr)
		}
	})
}

func TestTwoJobsOfOneName(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		workers := riverWorkers()
		addRiver(workers, func(context.Context, *river.Job[invoiceArgs]) error { return nil })
		said := panics(func() {
			addRiver(workers, func(context.Context, *river.Job[yesterdayArgs]) error { return nil })
		})
		if !strings.Contains(said, `worker for kind "invoice:send" is already registered`) {
			t.Errorf("panic: %q", said)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		mux := asynqMux("invoice:send", func(context.Context, invoiceArgs) error { return nil })
		said := panics(func() {
			asynqHandle(mux, "invoice:send", func(context.Context, yesterdayArgs) error { return nil })
		})
		if !strings.Contains(said, "asynq: multiple registrations for invoice:send") {
			t.Errorf("panic: %q", said)
		}
	})
}

// panics returns what f panics with.
func panics(f func()) (said string) {
	defer func() {
		switch v := recover().(type) {
		case error:
			said = v.Error()
		case string:
			said = v
		}
	}()
	f()
	return ""
}

type otherServiceArgs struct{}

func (otherServiceArgs) Kind() string { return "report:render" }

func TestTwoServicesThatShareAQueue(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		pool := riverPool(t)
		other := riverWorking(t, pool, riverWorkers()) // does not know report:render
		id := riverInsert(t, riverInserter(t, pool), otherServiceArgs{}, nil)
		job := riverJob(t, other, id, "the job to fail", riverFailed)
		if job.Attempt == 0 {
			t.Error("it cost no attempt")
		}

		// A client that is told so leaves what it does not know.
		pool = riverPool(t)
		careful := riverClient(t, pool, river.Config{
			Workers:             riverWorkers(),
			Queues:              map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1}},
			FetchOnlyKnownKinds: true,
		})
		riverStart(t, careful)
		id = riverInsert(t, riverInserter(t, pool), otherServiceArgs{}, nil)
		riverBarrier(t, pool, careful)
		job = riverJob(t, careful, id, "the job to be there", func(*rivertype.JobRow) bool { return true })
		if job.State != rivertype.JobStateAvailable || job.Attempt != 0 {
			t.Errorf("with FetchOnlyKnownKinds the job is %s after %d attempts", job.State, job.Attempt)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		asynqServe(t, redis, asynqMux("invoice:send", func(context.Context, invoiceArgs) error { return nil }))
		id := asynqEnqueue(t, redis, "report:render", otherServiceArgs{})
		task := asynqTask(t, redis, "default", id, "the task to fail", asynqFailed)
		if !strings.Contains(task.LastErr, "handler not found") {
			t.Errorf("it failed with %q", task.LastErr)
		}
	})
}

// foreignArgs is what another service calls invoice:send.
type foreignArgs struct {
	Month string `json:"month"`
}

func (foreignArgs) Kind() string { return "invoice:send" }

func TestTwoServicesOfOneJobName(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		workers, got := riverWorkers(), make(chan foreignArgs, 1)
		addRiver(workers, func(_ context.Context, job *river.Job[foreignArgs]) error {
			got <- job.Args
			return nil
		})
		pool := riverPool(t)
		client := riverWorking(t, pool, workers)
		id := riverInsert(t, riverInserter(t, pool), invoiceArgs{InvoiceID: 7}, nil)
		riverJob(t, client, id, "the job to complete", riverCompleted)
		if a := <-got; a != (foreignArgs{}) {
			t.Errorf("the worker got %+v", a)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		redis, got := asynqRedis(t), make(chan foreignArgs, 1)
		asynqServe(t, redis, asynqMux("invoice:send", func(_ context.Context, a foreignArgs) error {
			got <- a
			return nil
		}))
		id := asynqEnqueue(t, redis, "invoice:send", invoiceArgs{InvoiceID: 7})
		asynqTask(t, redis, "default", id, "the task to complete", asynqCompleted)
		if a := <-got; a != (foreignArgs{}) {
			t.Errorf("the handler got %+v", a)
		}
	})
}

func TestJobThatNobodyServes(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		pool := riverPool(t)
		client := riverWorking(t, pool, riverWorkers())
		// A client that has workers refuses a kind that none of them serves.
		var unknown *rivertype.UnknownJobKindError
		if _, err := client.Insert(t.Context(), otherServiceArgs{}, nil); !errors.As(err, &unknown) {
			t.Errorf("insert: %v", err)
		}
		// One that only inserts has none to ask, and the job fails when run.
		id := riverInsert(t, riverInserter(t, pool), otherServiceArgs{}, nil)
		riverJob(t, client, id, "the job to fail", riverFailed)
	})
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		asynqServe(t, redis, asynq.NewServeMux())
		id := asynqEnqueue(t, redis, "report:render", otherServiceArgs{}, asynq.MaxRetry(2))
		task := asynqTask(t, redis, "default", id, "the task to be given up", func(task *asynq.TaskInfo) bool {
			return task.State == asynq.TaskStateArchived
		})
		if task.Retried != 2 {
			t.Errorf("retried %d times", task.Retried)
		}
	})
}

func TestHandlerThatIsNeverRegistered(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		// The worker is there, and nobody calls AddWorker with it.
		_ = unitlessWorker{}
		client := riverWorking(t, riverPool(t), riverWorkers())
		var unknown *rivertype.UnknownJobKindError
		if _, err := client.Insert(t.Context(), invoiceArgs{}, nil); !errors.As(err, &unknown) {
			t.Errorf("insert: %v", err)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		asynqServe(t, redis, asynq.NewServeMux())
		id := asynqEnqueue(t, redis, "invoice:send", invoiceArgs{})
		asynqTask(t, redis, "default", id, "the task to fail", asynqFailed)
	})
}

func TestHandlerBehindABuildTag(t *testing.T) {
	t.Run("river", func(t *testing.T) { doesNotCompile(t, "river_build_tag", "GOOS=linux") })
	t.Run("asynq", func(t *testing.T) { doesNotCompile(t, "asynq_build_tag", "GOOS=linux") })
}

func TestImportCycle(t *testing.T) {
	t.Run("river", func(t *testing.T) { doesNotCompile(t, "river_import_cycle") })
	t.Run("asynq", func(t *testing.T) { doesNotCompile(t, "asynq_import_cycle") })
}

// importArgs is a job for any type of item, by one name.
type importArgs[T any] struct {
	Items []T `json:"items"`
}

func (importArgs[T]) Kind() string { return "import" }

func TestGenericHandler(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		workers := riverWorkers()
		addRiver(workers, func(context.Context, *river.Job[importArgs[string]]) error { return nil })
		said := panics(func() {
			addRiver(workers, func(context.Context, *river.Job[importArgs[int]]) error { return nil })
		})
		if !strings.Contains(said, `worker for kind "import" is already registered`) {
			t.Errorf("panic: %q", said)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		mux := asynqMux("import", func(context.Context, importArgs[string]) error { return nil })
		said := panics(func() {
			asynqHandle(mux, "import", func(context.Context, importArgs[int]) error { return nil })
		})
		if !strings.Contains(said, "asynq: multiple registrations for import") {
			t.Errorf("panic: %q", said)
		}
	})
}
