package jobrt

import (
	"testing"
	"time"
)

func TestABreakerTurnsByWhatIsReported(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(d time.Duration) time.Time { return now.Add(d) }
	config := BreakerConfig{Failures: 3, Wait: time.Minute}
	me, other := NewID(), NewID()
	closed := Breaker{Kind: "k", Service: "s", State: BreakerClosed, Version: 7}
	open := Breaker{
		Kind: "k", Service: "s", State: BreakerOpen, Failures: 3, Opens: 1, Reason: "no", OpenedAt: at(0), RetryAt: at(time.Minute), Version: 8,
	}
	half := open
	half.State, half.Probe, half.ProbeUntil, half.Version = BreakerHalfOpen, me, at(90*time.Second), 9
	with := func(b Breaker, edit func(*Breaker)) Breaker { edit(&b); return b }
	for _, tc := range []struct {
		name   string
		before Breaker
		report BreakerReport
		at     time.Time
		want   Breaker
	}{
		{"a zero one counts", Breaker{}, BreakerReport{Failures: 2}, at(0), Breaker{State: BreakerClosed, Failures: 2}},
		{"failures add up", with(closed, func(b *Breaker) { b.Failures = 1 }), BreakerReport{Failures: 1}, at(0), with(closed, func(b *Breaker) { b.Failures = 2 })},
		{"a success begins anew", with(closed, func(b *Breaker) { b.Failures = 2 }), BreakerReport{Succeeded: true, Failures: 1}, at(0), with(closed, func(b *Breaker) { b.Failures = 1 })},
		{"enough open it", with(closed, func(b *Breaker) { b.Failures = 2 }), BreakerReport{Failures: 1, Reason: "no"}, at(0), open},
		{"failures while it is open change nothing", open, BreakerReport{Failures: 5}, at(time.Second), open},
		{"nor does a success", open, BreakerReport{Succeeded: true}, at(time.Second), open},
		{"nor a try without a turn", open, BreakerReport{Probe: ProbeSucceeded}, at(time.Hour), open},
		{"a try that succeeds closes it", half, BreakerReport{Probe: ProbeSucceeded}, at(time.Hour), with(closed, func(b *Breaker) { b.Version = 10 })},
		{"a try that fails doubles the wait", half, BreakerReport{Probe: ProbeFailed, Reason: "still no"}, at(time.Hour), with(open, func(b *Breaker) {
			b.Opens, b.RetryAt, b.Reason, b.Version = 2, at(time.Hour+2*time.Minute), "still no", 10
		})},
		{"up to sixteen times", with(half, func(b *Breaker) { b.Opens = 90 }), BreakerReport{Probe: ProbeFailed}, at(time.Hour), with(open, func(b *Breaker) {
			b.Opens, b.RetryAt, b.Reason, b.Version = 91, at(time.Hour+16*time.Minute), "", 10
		})},
		{"a try that says nothing lets others try", half, BreakerReport{Probe: ProbeVoid}, at(time.Hour), with(open, func(b *Breaker) { b.RetryAt, b.Version = at(time.Hour), 10 })},
		{"another's try counts for nothing", with(half, func(b *Breaker) { b.Probe = other }), BreakerReport{Probe: ProbeSucceeded}, at(time.Hour), with(half, func(b *Breaker) { b.Probe = other })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.report.Config, tc.report.Worker = config, me
			if got := tc.before.After(tc.report, tc.at); got != tc.want {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
	for _, tc := range []struct {
		name   string
		before Breaker
		at     time.Time
		want   bool
	}{
		{"a closed one needs no try", closed, at(time.Hour), false},
		{"the wait is not over", open, at(time.Minute - 1), false},
		{"the wait is over", open, at(time.Minute), true},
		{"I try already", half, at(time.Minute), true},
		{"another tries", with(half, func(b *Breaker) { b.Probe = other }), at(time.Minute), false},
		{"another has vanished", with(half, func(b *Breaker) { b.Probe = other }), at(90 * time.Second), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, taken := tc.before.Taken(me, time.Minute, tc.at)
			if taken != tc.want {
				t.Fatalf("taken is %v, want %v", taken, tc.want)
			}
			if taken && (got.State != BreakerHalfOpen || got.Probe != me || !got.ProbeUntil.Equal(tc.at.Add(time.Minute))) || !taken && got != tc.before {
				t.Errorf("got %+v", got)
			}
		})
	}
}
