package jobrt

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAStormOfEnqueuesCostsFewNotifications(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &fakeStore{notify: func(ctx context.Context, _ []string) error { time.Sleep(time.Second); return nil }}
		n := newNotifier(s)
		n.send([]string{"a"})
		synctest.Wait()
		for range 1000 {
			n.send([]string{"c", "b"})
			n.send([]string{"b"})
		}
		n.send(nil)
		time.Sleep(5 * time.Second)
		if diff := cmp.Diff([][]string{{"a"}, {"b", "c"}}, s.told()); diff != "" {
			t.Errorf("notifications (-want +got):\n%s", diff)
		}
		n.send([]string{"d"})
		time.Sleep(5 * time.Second)
		if len(s.told()) != 3 {
			t.Errorf("%d notifications after another enqueue, want 3", len(s.told()))
		}
	})
}

func TestNotificationsAreAtLeastAGapApart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var at []time.Time
		s := &fakeStore{notify: func(context.Context, []string) error { at = append(at, time.Now()); return nil }}
		n := newNotifier(s)
		for range 100 {
			n.send([]string{"a"})
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(at) < 2 || len(at) > 12 {
			t.Errorf("%d notifications in 100 ms", len(at))
		}
		for i := 1; i < len(at); i++ {
			if gap := at[i].Sub(at[i-1]); gap < notifyGap {
				t.Errorf("notifications %v apart", gap)
			}
		}
	})
}

func TestAFailedNotificationCostsNothingElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for name, fail := range map[string]func(ctx context.Context) error{
			"error": func(context.Context) error { return ErrUnavailable },
			"panic": func(context.Context) error { panic(errRefused) },
			"hangs": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		} {
			s := &fakeStore{notify: func(ctx context.Context, _ []string) error { return fail(ctx) }}
			c := newTestClient(t, s)
			start := time.Now()
			for range 2 {
				if _, err := Enqueue(t.Context(), c, sendJob(), order{}); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("%s: the callers waited %v", name, took)
			}
			time.Sleep(time.Minute)
			n := len(s.told())
			if n < 1 || n > 2 {
				t.Errorf("%s: %d notifications for two enqueues", name, n)
			}
			if _, err := Enqueue(t.Context(), c, sendJob(), order{}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			synctest.Wait()
			if len(s.told()) != n+1 {
				t.Errorf("%s: no notification after the failed one", name)
			}
		}
	})
}
