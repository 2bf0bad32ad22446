package mistakes

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"github.com/jobgen/jobgen/internal/pgtest"
)

// riverPool returns a pool of connections to a fresh database with River's
// tables.
func riverPool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	dsn := pgtest.Start(t).NewDatabaseFrom(t, "river", func(ctx context.Context, dsn string) error {
		pool, err := pgxpool.New(ctx, dsn)
		if err != nil {
			return err
		}
		defer pool.Close()
		migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
		if err != nil {
			return err
		}
		_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
		return err
	})
	return openPool(t, dsn)
}

func openPool(t *testing.T, dsn string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// riverClient makes a client with config, made quick for tests. It does not
// start it.
func riverClient(t *testing.T, pool *pgxpool.Pool, config river.Config) *river.Client[pgx.Tx] {
	t.Helper()
	client, err := river.NewClient(riverpgxv5.New(pool), quick(config))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func quick(config river.Config) *river.Config {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	config.FetchCooldown = 2 * time.Millisecond
	config.FetchPollInterval = 20 * time.Millisecond
	return &config
}

// riverStart starts client until the test ends.
func riverStart(t *testing.T, client *river.Client[pgx.Tx]) {
	t.Helper()
	if err := client.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := client.StopAndCancel(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
}

// riverWorking starts a client that works the queue "default" with one worker
// at a time.
func riverWorking(t *testing.T, pool *pgxpool.Pool, workers *river.Workers) *river.Client[pgx.Tx] {
	t.Helper()
	client := riverClient(t, pool, river.Config{
		Workers: workers,
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1}},
	})
	riverStart(t, client)
	return client
}

// riverInserter returns a client that inserts jobs of any kind and runs none.
func riverInserter(t *testing.T, pool *pgxpool.Pool) *river.Client[pgx.Tx] {
	t.Helper()
	return riverClient(t, pool, river.Config{})
}

// riverInsert inserts a job and returns its id.
func riverInsert(t *testing.T, client *river.Client[pgx.Tx], args river.JobArgs, opts *river.InsertOpts) int64 {
	t.Helper()
	inserted, err := client.Insert(t.Context(), args, opts)
	if err != nil {
		t.Fatal(err)
	}
	return inserted.Job.ID
}

// riverJob waits until a job is as is wants it.
func riverJob(t *testing.T, client *river.Client[pgx.Tx], id int64, what string, is func(*rivertype.JobRow) bool) *rivertype.JobRow {
	t.Helper()
	var job *rivertype.JobRow
	eventually(t, what, func(ctx context.Context) bool {
		var err error
		if job, err = client.JobGet(ctx, id); err != nil {
			t.Fatal(err)
		}
		return is(job)
	})
	return job
}

func riverCompleted(job *rivertype.JobRow) bool { return job.State == rivertype.JobStateCompleted }

func riverFailed(job *rivertype.JobRow) bool { return len(job.Errors) > 0 }

// riverBarrier runs a job through the queue "default": what was ready there
// before has been fetched when it returns, because there is one worker.
func riverBarrier(t *testing.T, pool *pgxpool.Pool, client *river.Client[pgx.Tx]) {
	t.Helper()
	id := riverInsert(t, riverInserter(t, pool), barrierArgs{}, nil)
	riverJob(t, client, id, "a later job to complete", riverCompleted)
}

type barrierArgs struct{}

func (barrierArgs) Kind() string { return "barrier" }

// riverWorkers returns workers that hold the barrier's.
func riverWorkers() *river.Workers {
	workers := river.NewWorkers()
	addRiver(workers, func(context.Context, *river.Job[barrierArgs]) error { return nil })
	return workers
}

// addRiver registers a function for jobs of arguments A.
func addRiver[A river.JobArgs](workers *river.Workers, work func(context.Context, *river.Job[A]) error) {
	river.AddWorker(workers, river.WorkFunc(work))
}
