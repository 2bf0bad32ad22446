package jobrt

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"sync"
)

// RunMiddleware wraps every attempt of a pool's jobs: see [PoolConfig]. The job's arguments have been decoded by then,
// and the ledger of once= has not been asked yet. It may pass on another context, made from its own, and look at, wrap or
// replace the handler's error. What it cannot do is to make a failure a success: an attempt succeeds when next and the
// middleware both return nil.
//
//   - An error before next is called, or instead, is the attempt's: [Snooze] and [Cancel] put the job off or end it.
//     nil without a call of next is a failed attempt.
//   - An error after next has returned nil fails the attempt although the work is done. With once= the ledger has it as
//     done, and the next attempt does not do it again.
//   - What the runtime itself says stands: a result that does not decode, work in doubt, a ledger that cannot be asked.
//   - A panic of the handler is a [PanicError] that next returns. One of the middleware fails the attempt.
//   - next may be called once, and only until the middleware returns.
type RunMiddleware func(next RunFunc) RunFunc

// RunFunc runs an attempt. job is what [FromContext] gives too.
type RunFunc func(ctx context.Context, job Running) error

var (
	errRunDropped = errors.New("middleware returned no error and did not run the handler: return jobrt.Cancel or jobrt.Snooze to leave a job out")
	errRunTwice   = errors.New("middleware called next twice, or after it had returned")
	errRunLeft    = errors.New("middleware returned while the handler still runs")
)

// passage is the way of one attempt through the middleware.
type passage struct {
	mu      sync.Mutex
	entered bool
	left    bool // the handler, or what stands for it, has ended
	over    bool // the middleware has returned
	result  []byte
	err     error
}

// around runs an attempt within the pool's middleware.
func (p *Pool) around(ctx context.Context, a *attempt, run func(ctx context.Context) ([]byte, error)) ([]byte, error) {
	if len(p.config.Middleware) == 0 {
		return run(ctx)
	}
	way := &a.passage
	next := RunFunc(func(ctx context.Context, _ Running) error {
		if !way.enter() {
			return errRunTwice
		}
		result, err := recovered(ctx, run)
		way.leave(result, err)
		return err
	})
	for _, wrap := range slices.Backward(p.config.Middleware) {
		next = wrap(next)
	}
	defer way.end()
	return way.judge(next(ctx, a.info))
}

// recovered is run whose panic is an error.
func recovered(ctx context.Context, run func(ctx context.Context) ([]byte, error)) (result []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			result, err = nil, &PanicError{Value: v, Stack: string(debug.Stack())}
		}
	}()
	return run(ctx)
}

func (w *passage) enter() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.entered || w.over {
		return false
	}
	w.entered = true
	return true
}

func (w *passage) leave(result []byte, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left, w.result, w.err = true, result, err
}

func (w *passage) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
}

// worked reports whether the handler has succeeded, and with which result, whatever the middleware made of it.
func (w *passage) worked() (result []byte, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.result, w.left && w.err == nil
}

// judge tells how the attempt ended, by what the middleware returned.
func (w *passage) judge(err error) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.entered && err == nil:
		return nil, errRunDropped
	case !w.entered:
		return nil, err
	case !w.left:
		return nil, errors.Join(errRunLeft, err)
	case w.err != nil && (err == nil || ownEnd(w.err)):
		return nil, w.err
	case err != nil:
		return nil, err
	}
	return w.result, nil
}

// ownEnd reports whether an attempt's error is the runtime's, which nothing may change.
func ownEnd(err error) bool {
	var (
		undecodable *decodeError
		unstored    *resultError
		back        *putBack
		doubt       *doubtError
	)
	return errors.As(err, &undecodable) || errors.As(err, &unstored) || errors.As(err, &back) || errors.As(err, &doubt)
}
