package jobrt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAHandleOfAnotherResultDoesNotCompile(t *testing.T) {
	source, err := os.ReadFile("testdata/phantom/phantom.go")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for i, line := range strings.Split(string(source), "\n") {
		if _, text, marked := strings.Cut(line, "// ERROR "); marked {
			want[fmt.Sprint(i+1)] = text
		}
	}
	cmd := exec.Command("go", "build", "-gcflags=-e", "./testdata/phantom")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatal("it compiles")
	}
	got := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)phantom\.go:(\d+):\d+: (.*)$`).FindAllStringSubmatch(string(out), -1) {
		got[m[1]] += m[2]
	}
	for line, text := range want {
		if !strings.Contains(got[line], text) {
			t.Errorf("line %s: got %q, want an error with %q", line, got[line], text)
		}
		delete(got, line)
	}
	if len(got) > 0 || len(want) != 5 {
		t.Errorf("%d lines are marked, others have errors: %v\n%s", len(want), got, out)
	}
}

func TestHandlesAreComparable(t *testing.T) {
	c, job, id := newTestClient(t, new(fakeStore)), sendJob(), NewID()
	a, b := bind(c, job, "billing", Inserted{ID: id}), bind(c, job, "billing", Inserted{ID: id})
	if a != b || a == bind(c, job, "billing", Inserted{ID: NewID()}) || a == (Handle[receipt]{}) {
		t.Error("handles of one job differ, or those of two are equal")
	}
	if seen := map[Handle[receipt]]bool{a: true}; !seen[b] {
		t.Error("a handle is not found as a map's key")
	}
	if !(Handle[receipt]{}).ID().IsZero() {
		t.Error("the zero handle names a job")
	}
	var named AnyHandle = a
	if named.ID() != id || named.Existed() || fmt.Sprint(a) != id.String() {
		t.Errorf("%v, %v", named, a)
	}
}

func TestAHandleInArgumentsIsItsID(t *testing.T) {
	h := bind(newTestClient(t, new(fakeStore)), sendJob(), "billing", Inserted{ID: NewID(), Existed: true})
	type args struct {
		Parent Handle[receipt]            `json:"parent"`
		More   map[string]Handle[receipt] `json:"more"`
	}
	data, err := json.Marshal(args{h, map[string]Handle[receipt]{"k": h}})
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(`{"parent":%q,"more":{"k":%q}}`, h.ID(), h.ID()); string(data) != want {
		t.Errorf("got %s, want %s", data, want)
	}
	var back args
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if back.Parent.ID() != h.ID() || back.More["k"] != back.Parent || back.Parent.Existed() {
		t.Errorf("got %+v", back)
	}
	if _, err := back.Parent.Await(t.Context()); !errors.Is(err, ErrUnbound) {
		t.Errorf("Await of a handle from JSON: got %v, want ErrUnbound", err)
	}
	for _, bad := range []string{`"x"`, `7`, `{}`, `""`} {
		if err := json.Unmarshal([]byte(bad), &back.Parent); err == nil {
			t.Errorf("%s was read as a handle", bad)
		}
	}
}

// awaitable returns a handle of a job whose states come one after the other, the last for ever.
func awaitable(t *testing.T, looks ...func() (JobInfo, error)) (Handle[receipt], *int) {
	t.Helper()
	n := 0
	s := &fakeStore{job: func(ctx context.Context, id ID) (JobInfo, error) {
		if err := ctx.Err(); err != nil {
			return JobInfo{}, err
		}
		look := looks[min(n, len(looks)-1)]
		n++
		info, err := look()
		info.ID = id
		return info, err
	}}
	return bind(newTestClient(t, s), sendJob(), "billing", Inserted{ID: NewID()}), &n
}

func is(state State) func() (JobInfo, error) {
	return func() (JobInfo, error) { return JobInfo{Kind: "shop/billing.Send", State: state}, nil }
}

func fails(err error) func() (JobInfo, error) {
	return func() (JobInfo, error) { return JobInfo{}, err }
}

func TestAwaitReturnsTheResult(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h, looks := awaitable(t, is(StateWaiting), is(StateReady), fails(ErrUnavailable), is(StateRunning), func() (JobInfo, error) {
			return JobInfo{State: StateSucceeded, Result: []byte(`{"message_id":"m1"}`)}, nil
		})
		start := time.Now()
		got, err := h.Await(t.Context())
		if err != nil || got.MessageID != "m1" || *looks != 5 {
			t.Errorf("got %+v, %v after %d looks", got, err, *looks)
		}
		if took := time.Since(start); took != (10+20+40+80)*time.Millisecond {
			t.Errorf("looked for %v", took)
		}
	})
}

func TestAwaitLooksLessAndLessOften(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h, looks := awaitable(t, is(StateReady))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := h.Await(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "ready") {
			t.Errorf("got %v, want context.DeadlineExceeded and the state", err)
		}
		if *looks < 60 || *looks > 70 {
			t.Errorf("%d looks in a minute", *looks)
		}
	})
}

func TestAwaitsErrorsAreTyped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, tc := range []struct {
			name string
			look func() (JobInfo, error)
			want error
		}{
			{"purged", fails(ErrNotFound), ErrNotFound},
			{"other error of the store", fails(errRefused), errRefused},
			{"result not kept", is(StateSucceeded), ErrResultNotKept},
		} {
			h, _ := awaitable(t, tc.look)
			if _, err := h.Await(t.Context()); !errors.Is(err, tc.want) || !strings.Contains(err.Error(), h.ID().String()) {
				t.Errorf("%s: got %v, want %v and the id", tc.name, err, tc.want)
			}
		}
		h, _ := awaitable(t, func() (JobInfo, error) { return JobInfo{State: StateSucceeded, Error: "result of 2 MiB"}, nil })
		if _, err := h.Await(t.Context()); !errors.Is(err, ErrResultNotKept) || !strings.Contains(err.Error(), "result of 2 MiB") {
			t.Errorf("a result that could not be kept: got %v, want ErrResultNotKept and the reason", err)
		}
		h, _ = awaitable(t, func() (JobInfo, error) { return JobInfo{State: StateSucceeded, Result: []byte(`[]`)}, nil })
		if _, err := h.Await(t.Context()); err == nil || errors.Is(err, ErrResultNotKept) {
			t.Errorf("a result that does not decode: %v", err)
		}
		for _, info := range []JobInfo{
			{Kind: "k", State: StateDead, Reason: DeadExhausted, Error: "550 no such user"},
			{Kind: "k", State: StateCancelled, Error: "customer left"},
			{Kind: "k", State: StateDead, Reason: DeadQuarantined},
			{Kind: "k", State: StateSkipped, Error: "not needed: parent succeeded"},
		} {
			h, _ := awaitable(t, func() (JobInfo, error) { return info, nil })
			_, err := h.Await(t.Context())
			var failed *JobError
			if !errors.As(err, &failed) {
				t.Errorf("%s: got %v, want a JobError", info.State, err)
				continue
			}
			want := JobError{ID: h.ID(), Kind: "k", State: info.State, Reason: info.Reason, Message: info.Error}
			if diff := cmp.Diff(want, *failed); diff != "" {
				t.Errorf("JobError differs (-want +got):\n%s", diff)
			}
			if text := failed.Error(); !strings.Contains(text, string(info.Reason)) || !strings.Contains(text, info.Error) || strings.HasSuffix(text, ": ") {
				t.Errorf("text is %q", text)
			}
		}
		if _, err := (Handle[receipt]{}).Await(t.Context()); !errors.Is(err, ErrUnbound) {
			t.Errorf("zero handle: got %v", err)
		}
	})
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		errGone := errors.New("user pressed ^C")
		for name, look := range map[string]func() (JobInfo, error){"waiting": is(StateReady), "store away": fails(ErrUnavailable)} {
			h, _ := awaitable(t, look)
			ctx, cancel := context.WithCancelCause(t.Context())
			done := make(chan error)
			go func() { _, err := h.Await(ctx); done <- err }()
			synctest.Wait()
			cancel(errGone)
			err := <-done
			if !errors.Is(err, errGone) || !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v, want the cause", name, err)
			}
			if away := errors.Is(err, ErrUnavailable); away != (name == "store away") {
				t.Errorf("%s: got %v", name, err)
			}
			if _, err := h.Await(ctx); !errors.Is(err, errGone) {
				t.Errorf("%s, ended before: got %v", name, err)
			}
		}
	})
}

func TestAwaitIsRefusedInsideAHandler(t *testing.T) {
	h, looks := awaitable(t, is(StateSucceeded))
	if _, err := h.Await(inHandler(NewID(), nil)); !errors.Is(err, ErrInHandler) || *looks != 0 {
		t.Errorf("got %v after %d looks, want ErrInHandler at once", err, *looks)
	}
}

func TestAwaitOfAJobWithoutResultNeedsNone(t *testing.T) {
	s := &fakeStore{job: func(context.Context, ID) (JobInfo, error) { return JobInfo{State: StateSucceeded}, nil }}
	job := &Job[order, None]{Kind: "shop.None", Result: NoneCodec}
	if _, err := bind(newTestClient(t, s), job, "billing", Inserted{ID: NewID()}).Await(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestHandleOfChecksTheKind(t *testing.T) {
	kinds := map[ID]string{}
	s := &fakeStore{job: func(_ context.Context, id ID) (JobInfo, error) {
		if kinds[id] == "" {
			return JobInfo{}, ErrNotFound
		}
		return JobInfo{ID: id, Kind: kinds[id], State: StateSucceeded, Result: []byte(`{"message_id":"m1"}`)}, nil
	}}
	own, alias, other := NewID(), NewID(), NewID()
	kinds[own], kinds[alias], kinds[other] = "shop/billing.Send", "shop/mail.Send", "shop/billing.Other"
	c := newTestClient(t, s)
	for _, id := range []ID{own, alias} {
		h, err := HandleOf(t.Context(), c, sendJob(), id)
		if err != nil || h.ID() != id || h.Existed() {
			t.Errorf("%s: %v, %v", kinds[id], h, err)
		}
		if got, err := h.Await(t.Context()); err != nil || got.MessageID != "m1" {
			t.Errorf("%s: await %+v, %v", kinds[id], got, err)
		}
	}
	if h, err := HandleOf(t.Context(), c, sendJob(), other); err == nil || !strings.Contains(err.Error(), "shop/billing.Other") || h != (Handle[receipt]{}) {
		t.Errorf("another kind: %v, %v", h, err)
	}
	if _, err := HandleOf(t.Context(), c, sendJob(), NewID()); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown id: %v", err)
	}
	if _, err := HandleOf(t.Context(), nil, sendJob(), own); !errors.Is(err, ErrNoClient) {
		t.Errorf("no client: %v", err)
	}
}
