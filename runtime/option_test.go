package jobrt

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sentWith returns the job that an enqueue with the given options sends.
func sentWith(t *testing.T, job *Job[order, receipt], opts ...EnqueueOption) NewJob {
	t.Helper()
	s := new(fakeStore)
	if _, err := Enqueue(t.Context(), newTestClient(t, s), job, order{N: 1}, opts...); err != nil {
		t.Fatal(err)
	}
	return s.only(t)
}

func TestOptionsOverrideTheAnnotation(t *testing.T) {
	at, id := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC), NewID()
	for _, tc := range []struct {
		name string
		opts []EnqueueOption
		edit func(*NewJob)
	}{
		{"none", nil, func(*NewJob) {}},
		{"Delay", []EnqueueOption{Delay(time.Hour)}, func(j *NewJob) { j.Delay = time.Hour }},
		{"negative Delay", []EnqueueOption{Delay(-time.Hour)}, func(*NewJob) {}},
		{"At", []EnqueueOption{At(at)}, func(j *NewJob) { j.RunAt = at }},
		{"At after Delay", []EnqueueOption{Delay(time.Hour), At(at)}, func(j *NewJob) { j.RunAt = at }},
		{"Delay after At", []EnqueueOption{At(at), Delay(time.Hour)}, func(j *NewJob) { j.Delay = time.Hour }},
		{"Queue", []EnqueueOption{Queue("mail")}, func(j *NewJob) { j.Queue = "mail" }},
		{"the last Queue", []EnqueueOption{Queue("mail"), Queue("post")}, func(j *NewJob) { j.Queue = "post" }},
		{"Priority", []EnqueueOption{Priority(9)}, func(j *NewJob) { j.Priority = 9 }},
		{"no Retry", []EnqueueOption{Retry(0)}, func(j *NewJob) { j.MaxRetries = 0 }},
		{"Timeout", []EnqueueOption{Timeout(time.Second)}, func(j *NewJob) { j.Timeout = time.Second }},
		{"Tags add", []EnqueueOption{Tags("a", "b"), Tags("c")}, func(j *NewJob) { j.Tags = []string{"mail", "a", "b", "c"} }},
		{"KeepResult", []EnqueueOption{KeepResult()}, func(j *NewJob) { j.KeepResult = true }},
		{"WithID", []EnqueueOption{WithID(id)}, func(j *NewJob) { j.ID, j.Resend = id, true }},
		{"Each of one", []EnqueueOption{Priority(9), Each(func(int) []EnqueueOption { return []EnqueueOption{Priority(1)} })}, func(j *NewJob) { j.Priority = 1 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := NewJob{
				Service: "shop", Kind: "shop/billing.Send", Queue: "billing", Priority: 4, MaxRetries: 3, Args: []byte(`{"n":1}`),
				ArgsSchema: "0123456789abcdef", Tags: []string{"mail"}, Origin: Origin{Service: "shop", Build: "v1", Host: "host-a"},
			}
			got := sentWith(t, sendJob(), tc.opts...)
			want.ID = got.ID
			tc.edit(&want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("job differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUniqueKeysAreDigestsWithinTheirKind(t *testing.T) {
	other := uniqueJob()
	other.Kind = "shop/billing.Other"
	other.Settings.UniqueFor = time.Hour
	keys := map[string]string{}
	for name, job := range map[string]NewJob{
		"by arguments":                 sentWith(t, uniqueJob()),
		"by arguments of another kind": sentWith(t, other),
		"by option":                    sentWith(t, sendJob(), Unique("1")),
		"by option, another key":       sentWith(t, sendJob(), Unique("2")),
		"by option, another kind":      sentWith(t, other, Unique("1")),
	} {
		if len(job.UniqueKey) != 32 {
			t.Errorf("%s: key of %d bytes", name, len(job.UniqueKey))
		}
		if twin, same := keys[string(job.UniqueKey)]; same {
			t.Errorf("%s and %s have the same key", name, twin)
		}
		keys[string(job.UniqueKey)] = name
		if want := job.Kind == other.Kind; (job.UniqueFor == time.Hour) != want {
			t.Errorf("%s: UniqueFor is %v", name, job.UniqueFor)
		}
	}
	if a, b := sentWith(t, uniqueJob(), Unique("k")), sentWith(t, sendJob(), Unique("k")); string(a.UniqueKey) != string(b.UniqueKey) {
		t.Error("Unique does not replace the annotation's key")
	}
	if sentWith(t, sendJob()).UniqueKey != nil {
		t.Error("a job without unique= has a key")
	}
}

func TestEachComesAfterTheCommonOptionsAndStaysWithItsJob(t *testing.T) {
	s := new(fakeStore)
	ids := []ID{NewID(), NewID(), NewID()}
	_, err := EnqueueMany(t.Context(), newTestClient(t, s), sendJob(), make([]order, 3), Tags("all"), Tags("more"), Priority(7),
		Each(func(i int) []EnqueueOption {
			return []EnqueueOption{WithID(ids[i]), Tags(string(rune('a' + i))), Priority(i + 1)}[:i+1]
		}))
	if err != nil {
		t.Fatal(err)
	}
	type sent struct {
		ID       ID
		Resend   bool
		Priority int
		Tags     []string
	}
	var got []sent
	for _, j := range s.batches()[0] {
		got = append(got, sent{j.ID, j.Resend, j.Priority, j.Tags})
	}
	want := []sent{
		{ids[0], true, 7, []string{"mail", "all", "more"}},
		{ids[1], true, 7, []string{"mail", "all", "more", "b"}},
		{ids[2], true, 3, []string{"mail", "all", "more", "c"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("jobs differ (-want +got):\n%s", diff)
	}
}

func TestWrongOptionsFailTheEnqueueByName(t *testing.T) {
	tx := new(fakeTx)
	each := func(opts ...EnqueueOption) EnqueueOption { return Each(func(int) []EnqueueOption { return opts }) }
	for _, tc := range []struct {
		opt  EnqueueOption
		want string
	}{
		{EnqueueOption{}, "zero EnqueueOption"},
		{At(time.Time{}), "At: zero time"},
		{At(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)), "At: year 10000"},
		{At(time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)), "At: year -1"},
		{Queue(""), `queue ""`},
		{Queue("a b"), `queue "a b"`},
		{Queue("a\u200bb"), "invisible"},
		{Queue("a\u00a0b"), "invisible"},
		{Queue("a\x00b"), "invisible"},
		{Queue("a\xffb"), "invalid"},
		{Queue(strings.Repeat("q", 129)), "1 to 128 bytes"},
		{Tags("ok", "not ok"), `tag "not ok"`},
		{Priority(0), "Priority: 0"},
		{Priority(10), "Priority: 10"},
		{Retry(-1), "Retry: -1"},
		{Retry(1001), "Retry: 1001"},
		{Timeout(0), "Timeout: 0s"},
		{Unique(""), "Unique: empty key"},
		{WithID(ID{}), "WithID: zero id"},
		{InTx(nil), "InTx: nil transaction"},
		{Each(nil), "Each: nil function"},
		{each(Priority(0)), "[0]: Priority: 0"},
		{each(InTx(tx)), "[0]: Each: a transaction is for the whole batch"},
		{each(each()), "[0]: Each: within Each"},
		{WithID(NewID()), "WithID names one job, not 2"},
		{FailedOption(errRefused), errRefused.Error()},
	} {
		s := new(fakeStore)
		handles, err := EnqueueMany(t.Context(), newTestClient(t, s), sendJob(), make([]order, 2), tc.opt)
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "enqueue shop/billing.Send") {
			t.Errorf("got %v, want %q", err, tc.want)
		}
		if handles != nil || s.sizes() != nil {
			t.Errorf("%s: sent batches of %v jobs", tc.want, s.sizes())
		}
	}
	if _, err := Enqueue(t.Context(), newTestClient(t, new(fakeStore)), sendJob(), order{}, FailedOption(errRefused)); !errors.Is(err, errRefused) {
		t.Errorf("FailedOption: got %v", err)
	}
}

func TestTheOptionsTransactionComesBeforeTheContexts(t *testing.T) {
	inContext, given := new(fakeTx), new(fakeTx)
	ctx := WithTx(t.Context(), inContext)
	if TxFrom(ctx) != inContext || TxFrom(t.Context()) != nil || TxFrom(WithTx(ctx, nil)) != nil {
		t.Error("TxFrom does not return what WithTx put in")
	}
	c := newTestClient(t, new(fakeStore))
	for range 2 {
		if _, err := Enqueue(ctx, c, sendJob(), order{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Enqueue(ctx, c, sendJob(), order{}, InTx(given)); err != nil {
		t.Fatal(err)
	}
	if _, err := EnqueueMany(ctx, c, sendJob(), make([]order, 2), Each(func(int) []EnqueueOption { return nil })); err != nil {
		t.Errorf("Each within a transaction of the context: %v", err)
	}
	if len(inContext.onCommit) != 3 || len(given.onCommit) != 1 {
		t.Errorf("%d enqueues in the context's transaction, %d in the option's", len(inContext.onCommit), len(given.onCommit))
	}
}
