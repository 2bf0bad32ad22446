package jobrt_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// A refund that waits its hour must not go out when the payment was tried again meanwhile, and went through.
func TestACompensationIsNotRunForAFailureThatWasMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		broken := true
		pay, refund := newJob("Pay", retries(0)), newJob("Refund")
		handle(b, pay, func(context.Context, work) (done, error) {
			if broken {
				return done{}, errors.New("bank is away")
			}
			return done{}, nil
		})
		refund.Parents = []jobrt.ParentType{{}}
		refunded := []jobrt.Failure{}
		if err := jobrt.RegisterAfter(b.reg, refund, func(_ context.Context, _ work, in *jobrt.Inputs) (done, error) {
			refunded = append(refunded, jobrt.InputFailure(in, 0))
			return done{}, in.Err()
		}); err != nil {
			t.Fatal(err)
		}
		mended, stays := b.enqueue(pay, work{N: 1}), b.enqueue(pay, work{N: 2})
		tidied := 0
		tidy := newJob("Tidy")
		handle(b, tidy, func(context.Context, work) (done, error) { tidied++; return done{}, nil })
		b.enqueue(tidy, work{}, jobrt.AfterFailure(mended), jobrt.Delay(time.Hour)) // does not take the failure
		notNeeded := b.enqueue(refund, work{}, jobrt.Takes(0, jobrt.IfFailed, mended), jobrt.Delay(time.Hour))
		needed := b.enqueue(refund, work{}, jobrt.Takes(0, jobrt.IfFailed, stays), jobrt.Delay(time.Hour))
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(time.Minute)
		if s := b.info(notNeeded.ID()).State; s != jobrt.StateScheduled {
			t.Fatalf("the refund is %s, want scheduled", s)
		}
		broken = false
		if _, err := b.store.Operate(t.Context(), jobrt.Actor{Name: "test"}, jobrt.Operation{Do: jobrt.OpRequeue}, []jobrt.ID{mended.ID()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		mustStop(t, stop)
		if len(refunded) != 1 || refunded[0].ID != stays.ID() || refunded[0].Message != "bank is away" {
			t.Errorf("refunded %+v, want the other payment alone", refunded)
		}
		if tidied != 0 {
			t.Error("a job ran after a failure that was mended, because it does not take it")
		}
		if info := b.info(notNeeded.ID()); info.State != jobrt.StateCancelled || !strings.Contains(info.Error, "was retried and has succeeded") {
			t.Errorf("the refund is %s: %s; want it cancelled with the reason", info.State, info.Error)
		}
		if info := b.info(needed.ID()); info.State != jobrt.StateSucceeded {
			t.Errorf("the other refund is %s: %s", info.State, info.Error)
		}
	})
}
