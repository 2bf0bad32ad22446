package jobrt

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestFromContextTellsTheAttempt(t *testing.T) {
	if got, ok := FromContext(t.Context()); ok || got.Kind != "" {
		t.Errorf("outside a handler: %+v, %t", got, ok)
	}
	want := Running{ID: NewID(), Kind: "shop/billing.Send", Queue: "billing", Attempt: 4, MaxRetries: 3, FencingToken: 9, Tags: []string{"mail"}}
	ctx := context.WithValue(withAttempt(t.Context(), &attempt{info: want}), clientKey{}, nil)
	got, ok := FromContext(ctx)
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("%t, differs (-want +got):\n%s", ok, diff)
	}
}

func TestTheLastAttemptIsTheOneAfterAllRetries(t *testing.T) {
	for _, tc := range []struct {
		attempt, retries int
		want             bool
	}{{1, 0, true}, {1, 1, false}, {2, 1, true}, {3, 10, false}, {11, 10, true}} {
		if got := (Running{Attempt: tc.attempt, MaxRetries: tc.retries}).LastAttempt(); got != tc.want {
			t.Errorf("attempt %d with %d retries: %t", tc.attempt, tc.retries, got)
		}
	}
}

func TestFinishInTxCompletesTheRunningJob(t *testing.T) {
	tx, ref := new(fakeTx), Ref{ID: NewID(), LeaseSeq: 7}
	var sent []Finish
	status := FinishResult{}
	var failure error
	s := &fakeStore{finish: func(_ context.Context, got Tx, batch []Finish) ([]FinishResult, error) {
		if got != tx {
			t.Errorf("finished in %v, want the caller's transaction", got)
		}
		sent = batch
		return []FinishResult{status}, failure
	}}
	worker := NewID()
	a := &attempt{
		info: Running{ID: ref.ID}, ref: ref, worker: worker, client: newTestClient(t, s), keepResult: true, startedAt: time.Now(),
		encodeResult: func(any) ([]byte, error) { return []byte(`{"message_id":"m1"}`), nil },
	}
	ctx := withAttempt(t.Context(), a)
	if err := FinishInTx(ctx, tx, receipt{"m1"}); err != nil {
		t.Fatal(err)
	}
	want := []Finish{{Ref: ref, Verdict: VerdictSucceeded, Result: []byte(`{"message_id":"m1"}`), StartedAt: a.startedAt, Worker: worker}}
	if diff := cmp.Diff(want, sent, cmpopts.IgnoreFields(Finish{}, "Ran")); diff != "" {
		t.Errorf("finish differs (-want +got):\n%s", diff)
	}
	if err := FinishInTx(ctx, tx, nil); err != nil || sent[0].Result != nil {
		t.Errorf("without a result: %v, %s", err, sent[0].Result)
	}

	for _, tc := range []struct {
		name string
		res  FinishResult
		err  error
		want error
	}{
		{"stale", FinishResult{Status: FinishStale}, nil, ErrLeaseLost},
		{"refused", FinishResult{Status: FinishRefused, Err: errRefused}, nil, errRefused},
		{"store fails", FinishResult{}, ErrUnavailable, ErrUnavailable},
	} {
		status, failure = tc.res, tc.err
		if err := FinishInTx(ctx, tx, nil); !errors.Is(err, tc.want) || !strings.Contains(err.Error(), ref.ID.String()) {
			t.Errorf("%s: got %v, want %v and the id", tc.name, err, tc.want)
		}
	}
	status, failure = FinishResult{Status: FinishBusy}, nil
	if err := FinishInTx(ctx, tx, nil); err == nil || errors.Is(err, ErrLeaseLost) {
		t.Errorf("busy: got %v, want an error that does not say that the lease is lost", err)
	}
	status = FinishResult{}
	a.encodeResult = func(any) ([]byte, error) { return nil, errRefused }
	if err := FinishInTx(ctx, tx, receipt{}); !errors.Is(err, errRefused) {
		t.Errorf("a result that cannot be encoded: got %v", err)
	}
	sent = nil
	if err := FinishInTx(ctx, nil, nil); err == nil || sent != nil {
		t.Errorf("nil transaction: got %v", err)
	}
	if err := FinishInTx(t.Context(), tx, nil); err == nil || sent != nil {
		t.Errorf("outside a handler: got %v", err)
	}
}
