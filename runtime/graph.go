package jobrt

import (
	"context"
	"errors"
	"fmt"
)

// Graph collects the enqueues of one function and stores them in one transaction: all of them or none. Stubs called
// with fn's ctx return handles at once, for jobs that are stored when fn has returned nil; nothing is stored when it
// fails or panics. In a ctx with a transaction the jobs join that one. A graph within a graph becomes part of it; when
// it fails the outer one does.
//
// Handles of fn name their jobs only once Graph has returned: where a unique key met a live job, they name that job
// then. fn must not pass its ctx on to goroutines that outlive it; those within it may share it.
//
// Errors: the error of fn as it is; those of [Enqueue]; ErrCycle when jobs wait for each other, or for the batch that
// they are in. An enqueue that fails within fn fails alone, unless fn returns its error. After ErrUncertain the jobs are stored all or none, and the handles are valid.
func (c *Client) Graph(ctx context.Context, fn func(ctx context.Context) error) error {
	_, err := c.collect(ctx, nil, fn)
	return err
}

// Graph is [Client.Graph] of the client that an enqueue in ctx would use. Generated code calls it; use is its package's
// default client. Without any client the error is ErrNoClient.
func Graph(ctx context.Context, use *Client, fn func(ctx context.Context) error) error {
	c, err := scopeOf(ctx).nextClient(ctx, use)
	if err != nil {
		return fmt.Errorf("graph: %w", err)
	}
	return c.Graph(ctx, fn)
}

// collect runs fn and stores what it enqueues, or leaves that to the graph around it. batch, when not nil, is what the
// jobs become members of; it has no id yet. It returns the graph once fn has succeeded.
func (c *Client) collect(ctx context.Context, batch *NewBatch, fn func(ctx context.Context) error) (*graph, error) {
	if outer := scopeOf(ctx); outer != nil {
		return c.collectWithin(ctx, outer, batch, fn)
	}
	if err := checkCollect(batch, fn); err != nil {
		return nil, err
	}
	s := &scope{graph: &graph{client: c, held: txHolderOf(ctx)}}
	calls := callsOf(ctx)
	if batch != nil {
		identify(ctx, batch, calls)
		s.batch = batch.ID
		if err := s.graph.addBatch(*batch, calls); err != nil {
			return nil, err
		}
	}
	ended := false
	defer func() {
		if !ended { // by a panic or runtime.Goexit
			s.graph.fail(errNoReturn)
		}
	}()
	err := fn(withScope(ctx, s))
	ended = true
	if err != nil {
		s.graph.fail(err)
		return nil, err
	}
	return s.graph, s.graph.store(ctx)
}

// collectWithin is collect inside of another graph.
func (c *Client) collectWithin(ctx context.Context, outer *scope, batch *NewBatch, fn func(ctx context.Context) error) (_ *graph, err error) {
	outer.graph.enter()
	ended := false
	defer func() {
		if !ended {
			err = errNoReturn
		}
		outer.graph.leave(err)
	}()
	err = c.collectInto(ctx, outer, batch, fn)
	ended = true
	if err != nil {
		return nil, err
	}
	return outer.graph, nil
}

func (c *Client) collectInto(ctx context.Context, outer *scope, batch *NewBatch, fn func(ctx context.Context) error) error {
	switch {
	case !related(outer.graph.client, c):
		return fmt.Errorf("its client is not on the store of the graph around it: %w", ErrOtherStore)
	case !sameTx(txHolderOf(ctx), outer.graph.held):
		return errOtherTx
	}
	if err := checkCollect(batch, fn); err != nil {
		return err
	}
	s := &scope{graph: outer.graph, batch: outer.batch}
	if batch != nil {
		calls := callsOf(ctx)
		identify(ctx, batch, calls)
		batch.Within, s.batch = outer.batch, batch.ID
		if err := s.graph.addBatch(*batch, calls); err != nil {
			return err
		}
	}
	return fn(withScope(ctx, s))
}

var errNoReturn = errors.New("its function did not return")

func checkCollect(batch *NewBatch, fn func(ctx context.Context) error) error {
	if fn == nil {
		return errors.New("graph or batch: nil function")
	}
	if batch == nil {
		return nil
	}
	return checkBatchName(batch.Name)
}

var errOtherTx = errors.New("the jobs of a graph or batch are stored in one transaction, that of its context: give WithTx(ctx, tx) to Graph or Batch rather than a transaction to what is within")

// scope is where an enqueue belongs: to a graph, and to a batch of it. Nil outside of Graph and Batch.
type scope struct {
	graph *graph
	batch ID // zero for none
}

type scopeKey struct{}

func withScope(ctx context.Context, s *scope) context.Context {
	return context.WithValue(ctx, scopeKey{}, s)
}

func scopeOf(ctx context.Context) *scope {
	s, _ := ctx.Value(scopeKey{}).(*scope)
	return s
}

func (s *scope) batchID() ID {
	if s == nil {
		return ID{}
	}
	return s.batch
}

// clientFor finds the client of an enqueue, which must be on the graph's store.
func (s *scope) clientFor(ctx context.Context, use *Client) (*Client, error) {
	c, err := s.nextClient(ctx, use)
	if s != nil && err == nil && !related(c, s.graph.client) {
		return nil, fmt.Errorf("its client is not on the store of the graph: %w", ErrOtherStore)
	}
	return c, err
}

// nextClient finds the client of a call: the context's, then the generated package's, then the graph's.
func (s *scope) nextClient(ctx context.Context, use *Client) (*Client, error) {
	c, err := clientFor(ctx, use)
	if err != nil && s != nil {
		return s.graph.client, nil
	}
	return c, err
}

// sameTx reports whether two contexts have one transaction, or none.
func sameTx(a, b *txHolder) bool { return a == b || a != nil && b != nil && same(a.tx, b.tx) }

// sameStore reports whether two clients are on one store.
func sameStore(a, b *Client) bool { return a == b || same(innermost(a.store), innermost(b.store)) }

// innermost is the store that others wrap.
func innermost(s Store) Store {
	for {
		w, wraps := s.(interface{ Unwrap() Store })
		if !wraps {
			return s
		}
		s = w.Unwrap()
	}
}
