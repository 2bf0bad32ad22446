package jobrt

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestMarkedErrorsKeepTheirCause(t *testing.T) {
	if Permanent(nil) != nil {
		t.Error("Permanent(nil) is an error")
	}
	err := fmt.Errorf("send: %w", Permanent(fmt.Errorf("look up: %w", errRefused)))
	var marked *permanentError
	if !errors.Is(err, errRefused) || !errors.As(err, &marked) || err.Error() != "send: look up: value out of range" {
		t.Errorf("got %q", err)
	}
	var snoozed *snoozeError
	if err := fmt.Errorf("busy: %w", Snooze(time.Minute)); !errors.As(err, &snoozed) || snoozed.d != time.Minute {
		t.Errorf("got %v", err)
	}
	var cancelled *cancelError
	if err := fmt.Errorf("stop: %w", Cancel("customer left")); !errors.As(err, &cancelled) || cancelled.reason != "customer left" {
		t.Errorf("got %v", err)
	}
}

func TestAPanicsErrorUnwrapsItsValue(t *testing.T) {
	if err := error(&PanicError{Value: errRefused}); !errors.Is(err, errRefused) || err.Error() != "panic: value out of range" {
		t.Errorf("got %v", err)
	}
	if err := error(&PanicError{Value: 7}); errors.Unwrap(err) != nil || err.Error() != "panic: 7" {
		t.Errorf("got %v", err)
	}
	if err := error(&PanicError{Goexit: true}); errors.Unwrap(err) != nil || !strings.Contains(err.Error(), "Goexit") {
		t.Errorf("got %v", err)
	}
}

func TestErrorsNameTheJobTheLimitAndTheWayOut(t *testing.T) {
	id, holder := NewID(), NewID()
	for _, tc := range []struct {
		err  error
		want []string
	}{
		{&ArgsError{Kind: "shop.Send", Reason: ArgsTooLarge, Index: 3, Size: 11, Limit: 10}, []string{"shop.Send", "[3]", "11 bytes", "limit 10", "pass its key"}},
		{&ArgsError{Kind: "shop.Send", Reason: ArgsNotANumber, Err: errRefused}, []string{"shop.Send", "NaN", errRefused.Error()}},
		{&IDTakenError{ID: id, Kind: "shop.Other"}, []string{id.String(), "shop.Other"}},
		{&UniqueConflictError{ID: id, Holder: holder}, []string{id.String(), holder.String()}},
		{&OwnedError{What: "queue", Name: "mail", Owner: "post"}, []string{`queue "mail"`, `"post"`, "choose another name"}},
		{&OwnedError{What: "service", Name: "shop", Owner: "example.com/eu/shop"}, []string{`service "shop"`, `module "example.com/eu/shop"`, "-service NAME", `PoolConfig.FormerModule to "example.com/eu/shop"`}},
		{ErrNoClient, []string{"WithClient", "Use"}},
	} {
		for _, want := range tc.want {
			if !strings.Contains(tc.err.Error(), want) {
				t.Errorf("%q lacks %q", tc.err, want)
			}
		}
	}
	if errors.Is(&ArgsError{}, ErrNotFound) {
		t.Error("an ArgsError matches another sentinel")
	}
}

func TestOnlyStatesThatGoOnByThemselvesAreLive(t *testing.T) {
	for state, want := range map[State]bool{
		StateScheduled: true, StateReady: true, StateRunning: true,
		StateSucceeded: false, StateCancelled: false, StateDead: false, "": false,
	} {
		if state.Live() != want {
			t.Errorf("%q.Live() = %t", state, !want)
		}
	}
}
