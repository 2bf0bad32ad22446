package mistakes

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// Neither peer has continuations: what comes after a job is enqueued by the
// job itself, and what it hands on are arguments that it fills.

type receipt struct {
	MessageID string `json:"message_id"`
}

type report struct {
	Pages int `json:"pages"`
}

func TestWrongChain(t *testing.T) {
	t.Run("river", func(t *testing.T) { doesNotCompile(t, "river_wrong_chain") })
	t.Run("asynq", func(t *testing.T) {
		redis, got := asynqRedis(t), make(chan receipt, 1)
		mux := asynqMux("report:render", func(context.Context, struct{}) error {
			_, err := asynqSend(redis, "receipt:archive", report{Pages: 3}, asynq.TaskID("next"))
			return err
		})
		asynqHandle(mux, "receipt:archive", func(_ context.Context, sent receipt) error {
			got <- sent
			return nil
		})
		asynqServe(t, redis, mux)
		id := asynqEnqueue(t, redis, "report:render", struct{}{})
		asynqTask(t, redis, "default", id, "the first task to complete", asynqCompleted)
		asynqTask(t, redis, "default", "next", "the next task to complete", asynqCompleted)
		if sent := <-got; sent != (receipt{}) {
			t.Errorf("the handler got %+v", sent)
		}
	})
}

type renderArgs struct{}

func (renderArgs) Kind() string { return "report:render" }

func TestResultOfAJobWithoutOne(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		workers := riverWorkers()
		addRiver(workers, func(context.Context, *river.Job[renderArgs]) error { return nil })
		client := riverWorking(t, riverPool(t), workers)
		id := riverInsert(t, client, renderArgs{}, nil)
		job := riverJob(t, client, id, "the job to complete", riverCompleted)
		var sent receipt
		if err := json.Unmarshal(job.Output(), &sent); err == nil {
			t.Error("it was decoded")
		}
	})
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		asynqServe(t, redis, asynqMux("report:render", func(context.Context, struct{}) error { return nil }))
		id := asynqEnqueue(t, redis, "report:render", struct{}{})
		task := asynqTask(t, redis, "default", id, "the task to complete", asynqCompleted)
		var sent receipt
		if err := json.Unmarshal(task.Result, &sent); err == nil {
			t.Error("it was decoded")
		}
	})
}

func TestResultReadAsAnotherType(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		workers := riverWorkers()
		addRiver(workers, func(ctx context.Context, _ *river.Job[renderArgs]) error {
			return river.RecordOutput(ctx, report{Pages: 3})
		})
		client := riverWorking(t, riverPool(t), workers)
		id := riverInsert(t, client, renderArgs{}, nil)
		job := riverJob(t, client, id, "the job to complete", riverCompleted)
		var sent receipt
		if err := json.Unmarshal(job.Output(), &sent); err != nil || sent != (receipt{}) {
			t.Errorf("read %+v, %v", sent, err)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		asynqServe(t, redis, asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
			_, err := task.ResultWriter().Write([]byte(`{"pages":3}`))
			return err
		}))
		id := asynqEnqueue(t, redis, "report:render", struct{}{})
		task := asynqTask(t, redis, "default", id, "the task to complete", asynqCompleted)
		var sent receipt
		if err := json.Unmarshal(task.Result, &sent); err != nil || sent != (receipt{}) {
			t.Errorf("read %+v, %v", sent, err)
		}
	})
}

// waitingWorker waits for a job that it inserted, in the only slot there is.
type waitingWorker struct {
	river.WorkerDefaults[waitArgs]
	child chan int64
}

type waitArgs struct{}

func (waitArgs) Kind() string { return "wait" }

func (*waitingWorker) Timeout(*river.Job[waitArgs]) time.Duration { return 500 * time.Millisecond }

func (w *waitingWorker) Work(ctx context.Context, _ *river.Job[waitArgs]) error {
	client := river.ClientFromContext[pgx.Tx](ctx)
	inserted, err := client.Insert(ctx, barrierArgs{}, nil)
	if err != nil {
		return err
	}
	w.child <- inserted.Job.ID
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		job, err := client.JobGet(ctx, inserted.Job.ID)
		if err != nil {
			return err
		}
		if riverCompleted(job) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestWaitingForAJobInAHandler(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		workers, waiting := riverWorkers(), &waitingWorker{child: make(chan int64, 1)}
		river.AddWorker(workers, waiting)
		client := riverWorking(t, riverPool(t), workers)
		id := riverInsert(t, client, waitArgs{}, &river.InsertOpts{MaxAttempts: 1})
		job := riverJob(t, client, id, "the parent to fail", riverFailed)
		if !strings.Contains(job.Errors[0].Error, context.DeadlineExceeded.Error()) {
			t.Errorf("the parent failed with %q", job.Errors[0].Error)
		}
		riverJob(t, client, <-waiting.child, "the child to complete, with the slot free", riverCompleted)
	})
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		mux := asynqMux("wait", func(ctx context.Context, _ struct{}) error {
			inspector := asynq.NewInspector(redis)
			defer inspector.Close()
			if _, err := asynqSend(redis, "child", struct{}{}, asynq.TaskID("child")); err != nil {
				return err
			}
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				if task, err := inspector.GetTaskInfo("default", "child"); err == nil && asynqCompleted(task) {
					return nil
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		})
		asynqHandle(mux, "child", func(context.Context, struct{}) error { return nil })
		asynqServe(t, redis, mux)
		id := asynqEnqueue(t, redis, "wait", struct{}{}, asynq.Timeout(time.Second), asynq.MaxRetry(0))
		parent := asynqTask(t, redis, "default", id, "the parent to fail", asynqFailed)
		if !strings.Contains(parent.LastErr, context.DeadlineExceeded.Error()) {
			t.Errorf("the parent failed with %q", parent.LastErr)
		}
		asynqTask(t, redis, "default", "child", "the child to complete, with the slot free", asynqCompleted)
	})
}

type childArgs struct {
	N int `json:"n"`
}

func (childArgs) Kind() string { return "child" }

func TestChildrenOfARetriedJob(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		pool, workers := riverPool(t), riverWorkers()
		addRiver(workers, func(context.Context, *river.Job[childArgs]) error { return nil })
		addRiver(workers, func(ctx context.Context, job *river.Job[renderArgs]) error {
			if _, err := river.ClientFromContext[pgx.Tx](ctx).Insert(ctx, childArgs{N: 1}, nil); err != nil {
				return err
			}
			if job.Attempt == 1 {
				return errors.New("not all of it")
			}
			return nil
		})
		client := riverWorking(t, pool, workers)
		id := riverInsert(t, client, renderArgs{}, nil)
		riverJob(t, client, id, "the parent to complete", riverCompleted)
		list, err := client.JobList(t.Context(), river.NewJobListParams().Kinds("child"))
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Jobs) != 2 {
			t.Errorf("%d children", len(list.Jobs))
		}
	})
	t.Run("asynq", func(t *testing.T) {
		redis, children := asynqRedis(t), make(chan struct{}, 2)
		mux := asynqMux("parent", func(ctx context.Context, _ struct{}) error {
			if _, err := asynqSend(redis, "child", childArgs{N: 1}); err != nil {
				return err
			}
			children <- struct{}{}
			if n, _ := asynq.GetRetryCount(ctx); n == 0 {
				return errors.New("not all of it")
			}
			return nil
		})
		asynqHandle(mux, "child", func(context.Context, childArgs) error { return nil })
		asynqServe(t, redis, mux)
		id := asynqEnqueue(t, redis, "parent", struct{}{})
		asynqTask(t, redis, "default", id, "the parent to complete", asynqCompleted)
		if len(children) != 2 {
			t.Errorf("%d children", len(children))
		}
	})
}
