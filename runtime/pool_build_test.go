package jobrt_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// runBuild starts a pool of a build whose job has that build's schema, and returns its stop.
func runBuild(t *testing.T, store jobrt.Store, build, schema string) (stop func() error) {
	t.Helper()
	b := newBench(t, store)
	job := newJob("Work")
	job.Args.Schema = schema
	handle(b, job, func(context.Context, work) (done, error) { return done{}, nil })
	return b.run(jobrt.PoolConfig{Build: build})
}

// wantSchema fails unless the catalogue has the schema of one build within the time given.
func wantSchema(t *testing.T, store jobrt.Store, want string, within time.Duration) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(time.Second) { // bubble time
		kinds, err := store.Kinds(t.Context())
		if err != nil || len(kinds) != 1 {
			t.Fatalf("kinds: %+v, %v", kinds, err)
		}
		if kinds[0].ArgsSchema == want {
			return
		}
		if time.Since(began) > within {
			t.Fatalf("the catalogue has schema %s after %v, want %s", kinds[0].ArgsSchema, within, want)
		}
	}
}

const oldSchema, newSchema = "00000000000000a1", "00000000000000a2"

func TestARollbackTakesOverByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		stopOld := runBuild(t, store, "v1", oldSchema)
		time.Sleep(time.Second) // bubble time
		stopNew := runBuild(t, store, "v2", newSchema)
		wantSchema(t, store, newSchema, 5*time.Second)
		late := runBuild(t, store, "v1", oldSchema) // a pod of the old build that starts in the middle of the rollout
		time.Sleep(time.Hour)                       // bubble time
		wantSchema(t, store, newSchema, 0)
		mustStop(t, stopNew)
		time.Sleep(9 * time.Minute) // bubble time
		wantSchema(t, store, newSchema, 0)
		wantSchema(t, store, oldSchema, 2*time.Minute)
		mustStop(t, stopOld)
		mustStop(t, late)
	})
}

func TestABuildThatWasRetiredGivesWayAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		stopOld := runBuild(t, store, "v1", oldSchema)
		time.Sleep(time.Second) // bubble time
		stopNew := runBuild(t, store, "v2", newSchema)
		wantSchema(t, store, newSchema, 5*time.Second)
		if err := store.RetireBuild(t.Context(), ann, "svc", "v2"); err != nil {
			t.Fatal(err)
		}
		wantSchema(t, store, oldSchema, 2*time.Second)
		time.Sleep(time.Hour) // bubble time: both go on
		wantSchema(t, store, oldSchema, 0)
		mustStop(t, stopNew)
		mustStop(t, stopOld)
	})
}

func TestACatalogueThatSomebodyElseHasTakenOverStopsNobodyWhoRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		b := newBench(t, store)
		job := newJob("Work")
		handle(b, job, func(context.Context, work) (done, error) { return done{}, nil })
		if err := b.reg.DeclareService("svc", "example.com/old"); err != nil {
			t.Fatal(err)
		}
		stop := b.run(jobrt.PoolConfig{Build: "v1"})
		time.Sleep(time.Second) // bubble time
		err := store.Sync(t.Context(), jobrt.Catalog{Service: "svc", Module: "example.com/new", FormerModule: "example.com/old", Build: "v2"})
		if err == nil {
			err = store.Sync(t.Context(), jobrt.Catalog{Service: "svc", Module: "example.com/new", Build: "v3"})
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute) // bubble time
		if _, err := b.await(b.enqueue(job, work{}, jobrt.KeepResult())); err != nil {
			t.Error(err)
		}
		mustStop(t, stop)
	})
}
