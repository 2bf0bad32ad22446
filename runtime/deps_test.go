package jobrt_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func TestWhatAnAttemptOpensIsReleasedWhateverComesOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		opened, released := 0, 0
		open := func(ctx context.Context, good bool) error {
			_, err := jobrt.OpenDeps(ctx, func(context.Context) (int, func() error, error) {
				opened++
				return opened, func() error { released++; return nil }, nil
			}, func(*int) error {
				if !good {
					return errors.New("incomplete")
				}
				return nil
			})
			return err
		}
		var late context.Context
		err := inJob(t, b, func(ctx context.Context) error {
			late = ctx
			for range 2 {
				if open(ctx, false) == nil {
					t.Error("what the check refuses is given to the handler")
				}
			}
			if released != 2 {
				t.Errorf("%d of 2 that the check refused are released", released)
			}
			return errors.Join(open(ctx, true), open(ctx, true))
		})
		if err != nil || opened != 3 || released != 3 {
			t.Errorf("%d opened, %d released, want 3: %v", opened, released, err)
		}
		if err := open(late, true); err == nil || opened != 3 {
			t.Errorf("after the handler has returned: %d opened, %v", opened, err)
		}
	})
}
