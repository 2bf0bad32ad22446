package jobrt_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// moduleBench is a program of a module that calls its service as others do.
func moduleBench(t *testing.T, store jobrt.Store, module string) *bench {
	t.Helper()
	b := newBench(t, store)
	if err := b.reg.DeclareService("svc", module); err != nil {
		t.Fatal(err)
	}
	handle(b, newJob("Work"), func(context.Context, work) (done, error) { return done{}, nil })
	return b
}

func TestAnotherModulesServiceStopsTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		stop := moduleBench(t, store, "example.com/eu/svc").run(jobrt.PoolConfig{})
		synctest.Wait() // until it has started
		if err := stop(); err != nil {
			t.Fatal(err)
		}

		b := moduleBench(t, store, "example.com/us/svc")
		pool, err := jobrt.NewPool(b.client, b.reg, jobrt.PoolConfig{FormerModule: "example.com/asia/svc"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err = pool.Run(ctx)
		var owned *jobrt.OwnedError
		if !errors.As(err, &owned) || *owned != (jobrt.OwnedError{What: "service", Name: "svc", Owner: "example.com/eu/svc"}) {
			t.Fatalf("Run = %v; want an OwnedError that names the module", err)
		}

		stop = b.run(jobrt.PoolConfig{FormerModule: owned.Owner})
		synctest.Wait()
		if err := stop(); err != nil {
			t.Errorf("a pool that names the former module: %v", err)
		}
	})
}

func TestFormerModuleNeedsAModule(t *testing.T) {
	b := newBench(t, jobtest.NewMemory())
	handle(b, newJob("Work"), func(context.Context, work) (done, error) { return done{}, nil })
	if _, err := jobrt.NewPool(b.client, b.reg, jobrt.PoolConfig{FormerModule: "example.com/svc"}); err == nil || !strings.Contains(err.Error(), "run go generate") {
		t.Errorf("NewPool: %v", err)
	}
}
