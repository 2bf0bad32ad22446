package jobrt

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestUniqueOptionsOverrideTheAnnotation(t *testing.T) {
	annotated := uniqueJob()
	annotated.Settings.UniqueFor, annotated.Settings.UniqueUntil = time.Hour, UntilResolved
	annotated.Settings.OnConflict = ReplaceHolder
	debounced := uniqueJob()
	debounced.Settings.Debounce, debounced.Settings.UniqueFor = time.Second, time.Hour
	type conflict struct {
		For     time.Duration
		Scope   UniqueScope
		Rule    ConflictRule
		Within  time.Duration
		Delayed time.Duration
	}
	for _, tc := range []struct {
		name string
		job  *Job[order, receipt]
		opts []EnqueueOption
		want conflict
	}{
		{"annotation", annotated, nil, conflict{time.Hour, UntilResolved, ReplaceHolder, 0, 0}},
		{"options", annotated, []EnqueueOption{UniqueFor(0), UniqueUntil(UntilStarted), OnConflict(KeepHolder)}, conflict{Scope: UntilStarted}},
		{"a key by option", sendJob(), []EnqueueOption{Unique("k"), UniqueUntil(UntilResolved)}, conflict{Scope: UntilResolved}},
		{"debounce", debounced, nil, conflict{0, UntilStarted, ReplaceHolder, 10 * time.Second, time.Second}},
		{"another debounce", debounced, []EnqueueOption{Debounce(time.Minute, 2*time.Minute)},
			conflict{0, UntilStarted, ReplaceHolder, 2 * time.Minute, time.Minute}},
		{"debounce of a job with other settings", annotated, []EnqueueOption{Debounce(time.Minute, 0)},
			conflict{0, UntilStarted, ReplaceHolder, 10 * time.Minute, time.Minute}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := sentWith(t, tc.job, tc.opts...)
			if diff := cmp.Diff(tc.want, conflict{n.UniqueFor, n.UniqueScope, n.OnConflict, n.ReplaceWithin, n.Delay}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestConflictOptionsThatContradict(t *testing.T) {
	plain := sendJob()
	s := new(fakeStore)
	c := newTestClient(t, s)
	parent, err := Enqueue(t.Context(), c, plain, order{N: 1})
	if err != nil {
		t.Fatal(err)
	}
	for want, opts := range map[string][]EnqueueOption{
		"OnConflict: the job has no unique key":          {OnConflict(ReplaceHolder)},
		"Debounce: the job has no unique key":            {Debounce(time.Second, 0)},
		"Debounce: want 0 < 1m0s <= 1s":                  {Unique("k"), Debounce(time.Minute, time.Second)},
		"Debounce: want 0 < 0s <= 0s":                    {Unique("k"), Debounce(0, 0)},
		"Debounce: not together with Delay or At":        {Unique("k"), Debounce(time.Second, 0), Delay(time.Second)},
		"Debounce: not together with UniqueFor,":         {Unique("k"), Debounce(time.Second, 0), UniqueFor(time.Hour)},
		"UniqueUntil: unknown scope \"monday\"":          {Unique("k"), UniqueUntil("monday")},
		"OnConflict: unknown rule \"fight\"":             {Unique("k"), OnConflict("fight")},
		"UniqueFor: -1s is negative":                     {Unique("k"), UniqueFor(-time.Second)},
		"a job that waits for others replaces none: see": {Unique("k"), OnConflict(ReplaceHolder), After(parent)},
	} {
		if _, err := Enqueue(t.Context(), c, plain, order{N: 1}, opts...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestAJobThatReplacesIsNoContinuation(t *testing.T) {
	for name, change := range map[string]func(*Settings){
		"debounce":    func(s *Settings) { s.Debounce = time.Second },
		"on-conflict": func(s *Settings) { s.OnConflict = ReplaceHolder },
	} {
		next, job := otherJob("shop/billing.Next"), sendJob()
		next.UniqueKey = func(dst []byte, _ *order) ([]byte, error) { return append(dst, '1'), nil }
		change(&next.Settings)
		job.Next = []Next{{Job: next, On: IfSucceeded, SameArgs: true}}
		_, err := Enqueue(t.Context(), newTestClient(t, new(fakeStore)), job, order{N: 1})
		if err == nil || !strings.Contains(err.Error(), "cannot wait for another") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
