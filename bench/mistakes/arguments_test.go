package mistakes

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/riverqueue/river"
)

type invoiceArgs struct {
	InvoiceID int64  `json:"invoice_id"`
	Email     string `json:"email"`
}

func (invoiceArgs) Kind() string { return "invoice:send" }

type refundArgs struct {
	Amount int `json:"amount"`
}

func TestWrongArgumentType(t *testing.T) {
	t.Run("river", func(t *testing.T) { doesNotCompile(t, "river_wrong_argument") })
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		got := make(chan invoiceArgs, 1)
		asynqServe(t, redis, asynqMux("invoice:send", func(_ context.Context, a invoiceArgs) error {
			got <- a
			return nil
		}))
		id := asynqEnqueue(t, redis, "invoice:send", refundArgs{Amount: 5})
		asynqTask(t, redis, "default", id, "the task to complete", asynqCompleted)
		if a := <-got; a != (invoiceArgs{}) {
			t.Errorf("the handler got %+v", a)
		}
	})
}

type channelArgs struct {
	Done chan bool `json:"done"`
}

func (channelArgs) Kind() string { return "channel" }

func TestTypeThatCannotBeStored(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		client := riverInserter(t, riverPool(t))
		if _, err := client.Insert(t.Context(), channelArgs{}, nil); err == nil || !strings.Contains(err.Error(), "unsupported type: chan bool") {
			t.Errorf("insert: %v", err)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		// asynq takes bytes: the error is that of the caller's own encoder.
		if _, err := json.Marshal(channelArgs{}); err == nil {
			t.Error("it was encoded")
		}
	})
}

type errorArgs struct {
	Reason error `json:"reason"`
}

func (errorArgs) Kind() string { return "reason" }

// reason is an error that encodes as a text.
type reason string

func (r reason) Error() string { return string(r) }

func TestFieldOfAnInterfaceType(t *testing.T) {
	const want = "cannot unmarshal string into Go struct field errorArgs.reason of type error"
	t.Run("river", func(t *testing.T) {
		workers := riverWorkers()
		addRiver(workers, func(context.Context, *river.Job[errorArgs]) error { return nil })
		client := riverWorking(t, riverPool(t), workers)
		id := riverInsert(t, client, errorArgs{Reason: reason("no such address")}, nil)
		job := riverJob(t, client, id, "the job to fail", riverFailed)
		if !strings.Contains(job.Errors[0].Error, want) {
			t.Errorf("it failed with %q", job.Errors[0].Error)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		asynqServe(t, redis, asynqMux("reason", func(context.Context, errorArgs) error { return nil }))
		id := asynqEnqueue(t, redis, "reason", errorArgs{Reason: reason("no such address")}, asynq.MaxRetry(1))
		task := asynqTask(t, redis, "default", id, "the task to fail", asynqFailed)
		if !strings.Contains(task.LastErr, want) {
			t.Errorf("it failed with %q", task.LastErr)
		}
	})
}

type hiddenArgs struct {
	Name      string `json:"name"`
	invoiceID int64
}

func (hiddenArgs) Kind() string { return "hidden" }

func TestUnexportedField(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		workers := riverWorkers()
		got := make(chan int64, 1)
		addRiver(workers, func(_ context.Context, job *river.Job[hiddenArgs]) error {
			got <- job.Args.invoiceID
			return nil
		})
		client := riverWorking(t, riverPool(t), workers)
		id := riverInsert(t, client, hiddenArgs{Name: "a", invoiceID: 7}, nil)
		riverJob(t, client, id, "the job to complete", riverCompleted)
		if n := <-got; n != 0 {
			t.Errorf("the worker got %d", n)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		got := make(chan int64, 1)
		asynqServe(t, redis, asynqMux("hidden", func(_ context.Context, a hiddenArgs) error {
			got <- a.invoiceID
			return nil
		}))
		id := asynqEnqueue(t, redis, "hidden", hiddenArgs{Name: "a", invoiceID: 7})
		asynqTask(t, redis, "default", id, "the task to complete", asynqCompleted)
		if n := <-got; n != 0 {
			t.Errorf("the handler got %d", n)
		}
	})
}

type looseArgs struct {
	ID any `json:"id"`
}

func (looseArgs) Kind() string { return "loose" }

// big is a number that a float64 can't hold.
const big int64 = 9007199254740993

func TestNumberInAnAny(t *testing.T) {
	lost := func(id any) bool {
		f, ok := id.(float64)
		return ok && int64(f) != big
	}
	t.Run("river", func(t *testing.T) {
		workers := riverWorkers()
		got := make(chan any, 1)
		addRiver(workers, func(_ context.Context, job *river.Job[looseArgs]) error {
			got <- job.Args.ID
			return nil
		})
		client := riverWorking(t, riverPool(t), workers)
		id := riverInsert(t, client, looseArgs{ID: big}, nil)
		riverJob(t, client, id, "the job to complete", riverCompleted)
		if n := <-got; !lost(n) {
			t.Errorf("the worker got %v (%T)", n, n)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		got := make(chan any, 1)
		asynqServe(t, redis, asynqMux("loose", func(_ context.Context, a looseArgs) error {
			got <- a.ID
			return nil
		}))
		id := asynqEnqueue(t, redis, "loose", looseArgs{ID: big})
		asynqTask(t, redis, "default", id, "the task to complete", asynqCompleted)
		if n := <-got; !lost(n) {
			t.Errorf("the handler got %v (%T)", n, n)
		}
	})
}

func TestTwoFieldsOfOneJSONName(t *testing.T) {
	t.Run("river", func(t *testing.T) { compilesButVetComplains(t, "river_two_fields") })
	t.Run("asynq", func(t *testing.T) { compilesButVetComplains(t, "asynq_two_fields") })
}

func TestHandlerWithoutError(t *testing.T) {
	t.Run("river", func(t *testing.T) { doesNotCompile(t, "river_no_error") })
	t.Run("asynq", func(t *testing.T) { doesNotCompile(t, "asynq_no_error") })
}

type secretArgs struct {
	Token string `json:"token"`
}

func (secretArgs) Kind() string { return "secret" }

func TestSecretAmongTheArguments(t *testing.T) {
	const token = "s3cr3t-t0ken"
	t.Run("river", func(t *testing.T) {
		workers := riverWorkers()
		addRiver(workers, func(context.Context, *river.Job[secretArgs]) error { return errors.New("not now") })
		client := riverWorking(t, riverPool(t), workers)
		id := riverInsert(t, client, secretArgs{Token: token}, nil)
		// What JobGet returns is what River's user interface shows.
		job := riverJob(t, client, id, "the job to fail", riverFailed)
		if !strings.Contains(string(job.EncodedArgs), token) {
			t.Errorf("shown as %s", job.EncodedArgs)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		id := asynqEnqueue(t, redis, "secret", secretArgs{Token: token})
		// What the inspector returns is what asynq's tools show.
		task := asynqTask(t, redis, "default", id, "the task to be stored", func(*asynq.TaskInfo) bool { return true })
		if !strings.Contains(string(task.Payload), token) {
			t.Errorf("shown as %s", task.Payload)
		}
	})
}
