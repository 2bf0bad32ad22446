package mistakes

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
)

// asynqRedis starts a Redis in this process and says how to reach it.
func asynqRedis(t *testing.T) asynq.RedisClientOpt {
	t.Helper()
	return asynq.RedisClientOpt{Addr: miniredis.RunT(t).Addr()}
}

// asynqServe runs handler for the queue "default", one task at a time, until
// the test ends.
func asynqServe(t *testing.T, redis asynq.RedisClientOpt, handler asynq.Handler) {
	t.Helper()
	server := asynq.NewServer(redis, asynq.Config{
		Concurrency:              1,
		TaskCheckInterval:        10 * time.Millisecond,
		DelayedTaskCheckInterval: 10 * time.Millisecond,
		RetryDelayFunc:           func(int, error, *asynq.Task) time.Duration { return 0 },
		LogLevel:                 asynq.FatalLevel,
		Logger:                   silence{},
		ShutdownTimeout:          time.Second,
	})
	if err := server.Start(handler); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
}

// silence is an asynq.Logger that says nothing.
type silence struct{}

func (silence) Debug(...any) {}
func (silence) Info(...any)  {}
func (silence) Warn(...any)  {}
func (silence) Error(...any) {}
func (silence) Fatal(...any) {}

// asynqEnqueue enqueues a task with payload as JSON and returns its id. The
// task is kept when it is done.
func asynqEnqueue(t *testing.T, redis asynq.RedisClientOpt, kind string, payload any, opts ...asynq.Option) string {
	t.Helper()
	id, err := asynqSend(redis, kind, payload, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// asynqSend is asynqEnqueue for handlers, which have no test to fail.
func asynqSend(redis asynq.RedisClientOpt, kind string, payload any, opts ...asynq.Option) (string, error) {
	data, err := json.Marshal(payload)
	if err != nil {
		return "", err
	}
	client := asynq.NewClient(redis)
	defer client.Close()
	info, err := client.Enqueue(asynq.NewTask(kind, data), append(opts, asynq.Retention(time.Hour))...)
	if err != nil {
		return "", err
	}
	return info.ID, nil
}

// asynqTask waits until a task is as is wants it.
func asynqTask(t *testing.T, redis asynq.RedisClientOpt, queue, id, what string, is func(*asynq.TaskInfo) bool) *asynq.TaskInfo {
	t.Helper()
	inspector := asynq.NewInspector(redis)
	defer inspector.Close()
	var task *asynq.TaskInfo
	eventually(t, what, func(context.Context) bool {
		var err error
		if task, err = inspector.GetTaskInfo(queue, id); err != nil {
			t.Fatal(err)
		}
		return is(task)
	})
	return task
}

func asynqCompleted(task *asynq.TaskInfo) bool { return task.State == asynq.TaskStateCompleted }

func asynqFailed(task *asynq.TaskInfo) bool { return task.LastErr != "" }

// asynqMux returns a mux with one handler, which decodes its payload as people
// do, and reports when that fails.
func asynqMux[A any](kind string, handle func(context.Context, A) error) *asynq.ServeMux {
	mux := asynq.NewServeMux()
	asynqHandle(mux, kind, handle)
	return mux
}

func asynqHandle[A any](mux *asynq.ServeMux, kind string, handle func(context.Context, A) error) {
	mux.HandleFunc(kind, func(ctx context.Context, task *asynq.Task) error {
		var args A
		if err := json.Unmarshal(task.Payload(), &args); err != nil {
			return err
		}
		return handle(ctx, args)
	})
}
