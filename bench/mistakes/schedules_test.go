package mistakes

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/robfig/cron/v3"
)

// River leaves cron to this library, which its examples use; asynq contains
// it.
func riverSchedule(t *testing.T, spec string) (river.PeriodicSchedule, error) {
	t.Helper()
	return cron.ParseStandard(spec)
}

func TestBadCron(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		if _, err := riverSchedule(t, "61 * * * *"); err == nil {
			t.Error("it was taken")
		}
	})
	t.Run("asynq", func(t *testing.T) {
		scheduler := asynq.NewScheduler(asynqRedis(t), &asynq.SchedulerOpts{Logger: silence{}})
		if _, err := scheduler.Register("61 * * * *", asynq.NewTask("month:close", nil)); err == nil {
			t.Error("it was taken")
		}
	})
}

func TestUnknownTimeZone(t *testing.T) {
	const spec, want = "CRON_TZ=Europe/Berlim 0 2 1 * *", "unknown time zone Europe/Berlim"
	t.Run("river", func(t *testing.T) {
		if _, err := riverSchedule(t, spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parse: %v", err)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		scheduler := asynq.NewScheduler(asynqRedis(t), &asynq.SchedulerOpts{Logger: silence{}})
		if _, err := scheduler.Register(spec, asynq.NewTask("month:close", nil)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("register: %v", err)
		}
	})
}

// never is the second of the 31st of February.
const never = "0 2 31 2 *"

func TestCronThatNeverFires(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		schedule, err := riverSchedule(t, never)
		if err != nil {
			t.Fatal(err)
		}
		if next := schedule.Next(time.Now()); !next.IsZero() {
			t.Errorf("next: %s", next)
		}
		// River takes it, starts, and works other jobs.
		workers := riverWorkers()
		addRiver(workers, func(context.Context, *river.Job[monthArgs]) error { return nil })
		pool := riverPool(t)
		client := riverClient(t, pool, river.Config{
			Workers: workers,
			Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1}},
			PeriodicJobs: []*river.PeriodicJob{river.NewPeriodicJob(schedule, func() (river.JobArgs, *river.InsertOpts) {
				return monthArgs{}, nil
			}, nil)},
		})
		riverStart(t, client)
		riverBarrier(t, pool, client)
	})
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		scheduler := asynq.NewScheduler(redis, &asynq.SchedulerOpts{Logger: silence{}, HeartbeatInterval: 20 * time.Millisecond})
		if _, err := scheduler.Register(never, asynq.NewTask("month:close", nil)); err != nil {
			t.Fatal(err)
		}
		if err := scheduler.Start(); err != nil {
			t.Fatal(err)
		}
		defer scheduler.Shutdown()
		inspector := asynq.NewInspector(redis)
		defer inspector.Close()
		var entries []*asynq.SchedulerEntry
		eventually(t, "the schedule to be listed", func(context.Context) bool {
			var err error
			if entries, err = inspector.SchedulerEntries(); err != nil {
				t.Fatal(err)
			}
			return len(entries) == 1
		})
		if !entries[0].Next.IsZero() && entries[0].Next.Year() > 1970 {
			t.Errorf("next: %s", entries[0].Next)
		}
	})
}

type monthArgs struct {
	Month string `json:"month"`
}

func (monthArgs) Kind() string { return "month:close" }

func TestCronWithArguments(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		workers, got := riverWorkers(), make(chan monthArgs, 1)
		addRiver(workers, func(_ context.Context, job *river.Job[monthArgs]) error {
			got <- job.Args
			return nil
		})
		// What is to be passed at each tick must be made up in advance.
		constructor := func() (river.JobArgs, *river.InsertOpts) { return monthArgs{}, nil }
		client := riverClient(t, riverPool(t), river.Config{
			Workers:      workers,
			Queues:       map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1}},
			PeriodicJobs: []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(time.Hour), constructor, &river.PeriodicJobOpts{RunOnStart: true})},
		})
		done, cancel := client.Subscribe(river.EventKindJobCompleted)
		defer cancel()
		riverStart(t, client)
		eventually(t, "the job to complete", func(ctx context.Context) bool {
			select {
			case event := <-done:
				return event.Job.State == rivertype.JobStateCompleted
			case <-ctx.Done():
				return false
			}
		})
		if a := <-got; a != (monthArgs{}) {
			t.Errorf("the worker got %+v", a)
		}
	})
	t.Run("asynq", func(t *testing.T) {
		redis := asynqRedis(t)
		asynqServe(t, redis, asynqMux("month:close", func(context.Context, monthArgs) error { return nil }))
		// The payload is whatever was given when the schedule was registered.
		client := asynq.NewClient(redis)
		defer client.Close()
		info, err := client.Enqueue(asynq.NewTask("month:close", nil))
		if err != nil {
			t.Fatal(err)
		}
		task := asynqTask(t, redis, "default", info.ID, "the task to fail", asynqFailed)
		if !strings.Contains(task.LastErr, "unexpected end of JSON input") {
			t.Errorf("it failed with %q", task.LastErr)
		}
	})
}
