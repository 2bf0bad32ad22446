package torture_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/jobgen/jobgen/gen/internal/torture/testdata/billing"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/chain"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/client"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/gen"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/gen/worker"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/kinds"
	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

func TestRegisterScopedOpensDependenciesForEachAttempt(t *testing.T) {
	ctx, env := jobtest.New(t)
	reg := newRegistry(t)
	var events []string
	err := worker.RegisterScoped(reg, func(ctx context.Context) (worker.Deps, func() error, error) {
		r, ok := jobrt.FromContext(ctx)
		if !ok { // a loop
			return worker.Deps{BillingClock: &billing.Clock{}, BillingService: &billing.Service{}, ClientJob: &client.Job{}, ChainLog: &chain.Log{}}, nil, nil
		}
		n := fmt.Sprint(strings.TrimPrefix(r.Kind, "torture/chain."), " ", r.FencingToken)
		events = append(events, "open "+n)
		log := &chain.Log{Verified: true}
		deps := worker.Deps{BillingClock: &billing.Clock{}, BillingService: &billing.Service{}, ClientJob: &client.Job{}, ChainLog: log}
		return deps, func() error {
			events = append(events, fmt.Sprint("release ", n, " ", log.Order))
			return errors.New("logged, no more")
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h, err := gen.EnqueueOrdered(ctx, kinds.Order{ID: 6, Buyer: &kinds.Buyer{Name: "Ann"}})
	if err != nil {
		t.Fatal(err)
	}
	env.Drain(t, reg) // its handler leaves the work in doubt
	if _, err := env.Store.Operate(ctx, jobrt.Actor{Name: "test"}, jobrt.Operation{Do: jobrt.OpRequeue}, []jobrt.ID{h.ID()}); err != nil {
		t.Fatal(err)
	}
	outcome := env.RunNext(t, reg) // verify= is asked, with dependencies of this attempt
	if outcome.Verdict != jobrt.VerdictSucceeded {
		t.Errorf("attempt with verify=: %v", outcome)
	}
	want := []string{"open Log.Ordered 1", "release Log.Ordered 1 [Ordered]", "open Log.Ordered 3", "release Log.Ordered 3 []"}
	if diff := gocmp.Diff(want, events); diff != "" {
		t.Errorf("dependencies (-want +got):\n%s", diff)
	}
}

func TestRegisterScopedFailsTheAttemptWithoutDependencies(t *testing.T) {
	for name, tc := range map[string]struct {
		open func(context.Context) (worker.Deps, func() error, error)
		want string
	}{
		"an error": {func(context.Context) (worker.Deps, func() error, error) {
			return worker.Deps{}, nil, errors.New("no connection")
		}, "open dependencies: no connection"},
		"nil": {func(context.Context) (worker.Deps, func() error, error) {
			return worker.Deps{BillingClock: &billing.Clock{}, BillingService: &billing.Service{}, ClientJob: &client.Job{}}, nil, nil
		}, "open dependencies: register jobs: worker.Deps.ChainLog (*chain.Log) is nil"},
		"a panic": {func(context.Context) (worker.Deps, func() error, error) { panic("boom") }, "panic: boom"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, env := jobtest.New(t)
			reg := newRegistry(t)
			if err := worker.RegisterScoped(reg, tc.open); err != nil {
				t.Fatal(err)
			}
			if _, err := gen.EnqueuePay(ctx); err != nil {
				t.Fatal(err)
			}
			if o := env.RunNext(t, reg); o.Verdict != jobrt.VerdictRetry || o.Error != tc.want {
				t.Errorf("attempt %v, want a retry because of %q", o, tc.want)
			}
		})
	}
	if err := worker.RegisterScoped(newRegistry(t), nil); err == nil {
		t.Error("nil function is accepted")
	}
}
