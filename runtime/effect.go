package jobrt

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// effects are the keys that the Once calls of one attempt have met. An intent that this attempt has left standing is in
// doubt for its further calls, whatever the store would say of a claim's own intents.
type effects struct {
	mu   sync.Mutex
	keys map[string]effectStand
}

type effectStand int

const (
	effectFree  effectStand = iota
	effectTaken             // a call is under way
	effectLeft              // a call has left the intent standing
)

// effectCall is one call of Once.
type effectCall struct {
	a     *attempt
	key   []byte
	label string
	left  bool // the intent is written and not settled
}

// enterEffect begins a call of Once; leave must follow.
func enterEffect(ctx context.Context, key string) (*effectCall, error) {
	a := running(ctx)
	if a == nil {
		return nil, fmt.Errorf("once %q: not inside a handler", key)
	}
	if key == "" {
		return nil, errors.New("once: empty key")
	}
	e := &effectCall{a: a, key: uniqueKey(a.kind, "self", []byte(key)), label: a.client.sealer.label(a.kind, []byte(key))}
	a.effects.mu.Lock()
	defer a.effects.mu.Unlock()
	stand := a.effects.keys[string(e.key)]
	if stand == effectTaken {
		return nil, fmt.Errorf("once %q: another call with this key is under way in this attempt", key)
	}
	if a.effects.keys == nil {
		a.effects.keys = make(map[string]effectStand)
	}
	a.effects.keys[string(e.key)] = effectTaken
	e.left = stand == effectLeft
	return e, nil
}

// leave ends the call, also one that panics.
func (e *effectCall) leave() {
	stand := effectFree
	if e.left {
		stand = effectLeft
	}
	e.a.effects.mu.Lock()
	defer e.a.effects.mu.Unlock()
	e.a.effects.keys[string(e.key)] = stand
}

func (e *effectCall) intent() Intent {
	return Intent{Ref: e.a.ref, Kind: e.a.kind, Key: e.key, Label: e.label}
}

// intend announces the effect. It waits for a store that is away.
func (e *effectCall) intend(ctx context.Context) (Effect, error) {
	if e.left {
		return Effect{State: EffectInDoubt, Job: e.a.ref.ID, At: time.Now()}, nil
	}
	known, err := intend(ctx, e.a.client.store, e.intent(), true)
	switch {
	case err != nil:
		return known, fmt.Errorf("once %q: %w", e.label, err)
	case known.State == EffectBusy:
		return known, fmt.Errorf("once %q: job %s: %w", e.label, known.Job, ErrEffectBusy)
	}
	e.left = known.State != EffectDone
	result, err := e.a.client.sealer.open(sealOnce, e.a.kind, known.Result)
	if err != nil {
		return known, &decodeError{fmt.Errorf("once %q: result that job %s recorded: %w", e.label, known.Job, err)}
	}
	known.Result = result
	return known, nil
}

// settle ends the intent. The first try is not cut off by the end of ctx, because a handler's context may end at the
// very moment at which its work is done; further ones are.
func (e *effectCall) settle(ctx context.Context, end EffectEnd) error {
	end.Result = e.a.client.sealer.seal(sealOnce, e.a.kind, e.key, end.Result)
	for try := 0; ; try++ {
		err := bounded(context.WithoutCancel(ctx), func(ctx context.Context) error {
			return e.a.client.store.SettleEffect(ctx, e.a.ref, end)
		})
		if err == nil {
			e.left = false
			return nil
		}
		if !transient(err) {
			return err
		}
		if !pause(ctx, try) {
			return fmt.Errorf("%w (%w)", err, endOf(ctx))
		}
	}
}

// intend announces an effect, and sends it again when the answer was lost. A store that is away it waits for until ctx
// ends when patient, or when it may have the intent already.
//
// When an answer was lost, the intent that a second send meets may be this claim's own. It is so for certain only in the
// first claim of a job, which no earlier one can have left in doubt; otherwise doubt is the truth.
func intend(ctx context.Context, store Store, i Intent, patient bool) (known Effect, err error) {
	lost := false
	for try := 0; ; try++ {
		err := bounded(ctx, func(ctx context.Context) (err error) {
			known, err = store.Intend(ctx, nil, i)
			return err
		})
		switch {
		case err == nil:
			if lost && known.State == EffectInDoubt && known.Job == i.ID && i.LeaseSeq == 1 {
				known.State = EffectOpened
			}
			return known, nil
		case errors.Is(err, ErrUncertain), errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			lost = true
		case !errors.Is(err, ErrUnavailable):
			return known, err
		case !patient && !lost:
			return known, err
		}
		if !pause(ctx, try) {
			return known, fmt.Errorf("%w (%w)", err, endOf(ctx))
		}
	}
}

// maxLabel is the most that Intent.Label may hold, in bytes.
const maxLabel = 200

// labelOf is a key for people to read: as it is when it can be shown.
func labelOf(key []byte) string {
	if len(key) <= maxLabel && utf8.Valid(key) && printable(string(key)) {
		return string(key)
	}
	return hex.EncodeToString(key[:min(len(key), maxLabel/2)])
}

func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// unclearError is made by InDoubt.
type unclearError struct{ err error }

func (e *unclearError) Error() string { return e.err.Error() }
func (e *unclearError) Unwrap() error { return e.err }

// doubtError stops an attempt, because an earlier one may have had the effect. It matches ErrInDoubt.
type doubtError struct {
	label  string
	effect Effect
}

func (e *doubtError) Error() string {
	return fmt.Sprintf("%q may have happened already: job %s announced it at %s and was cut off before it could record the end. "+
		"Ask the other side whether it has happened. Retry this job only if it has not, because a retry does it again; "+
		"verify= lets the job ask by itself", e.label, e.effect.Job, e.effect.At.UTC().Format(time.RFC3339))
}

func (e *doubtError) Unwrap() error { return ErrInDoubt }

// tellsOutcome reports whether a function that failed with err in ctx has thereby answered that its effect did not
// happen. What was cut off has answered nothing: a panic, a timeout, a connection that broke after it stood.
func tellsOutcome(ctx context.Context, err error) bool {
	for _, cutOff := range []error{context.Canceled, context.DeadlineExceeded, ErrTimeout, ErrLeaseLost, ErrStopped, ErrUncertain, ErrInDoubt} {
		if errors.Is(err, cutOff) {
			return false
		}
	}
	return ctx.Err() == nil && !anyIn(err, isUnclear)
}

// isUnclear looks at one error of a tree.
func isUnclear(err error) bool {
	switch e := err.(type) { //nolint:errorlint // each error of the tree comes here
	case *unclearError, *PanicError:
		return true
	case *net.OpError:
		return e.Op != "dial" || e.Timeout()
	case *url.Error:
		return errors.Is(e, io.EOF) || errors.Is(e, io.ErrUnexpectedEOF) || e.Timeout()
	case interface{ Timeout() bool }:
		return e.Timeout()
	}
	return false
}

// anyIn reports whether test holds for an error of err's tree.
func anyIn(err error, test func(error) bool) bool {
	if err == nil {
		return false
	}
	if test(err) {
		return true
	}
	switch e := err.(type) { //nolint:errorlint // this walks the tree
	case interface{ Unwrap() error }:
		return anyIn(e.Unwrap(), test)
	case interface{ Unwrap() []error }:
		for _, under := range e.Unwrap() {
			if anyIn(under, test) {
				return true
			}
		}
	}
	return false
}
