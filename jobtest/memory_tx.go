package jobtest

import (
	"errors"
	"fmt"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Tx is an open transaction of a [Memory]. What is done in it is seen by nobody else before Commit. A Tx is for one
// goroutine.
type Tx struct {
	m     *Memory
	ended chan struct{} // closed by Commit and Rollback

	rows     map[jobrt.ID]*row
	batches  map[jobrt.ID]*batchRow
	joined   []*batchRow
	effects  map[string]*effect
	stowed   map[jobrt.ID]jobrt.OutboxItem
	keys     map[string]jobrt.ID
	finished map[jobrt.Ref]bool
	locks    []*row
	pinned   []*row
	work     []func() // the writes, in order
	hooks    []func()
}

var _ jobrt.Tx = (*Tx)(nil)

// ErrTxEnded is the error of a call on a transaction that was committed or rolled back already.
var ErrTxEnded = errors.New("transaction has ended")

// Begin begins a transaction. Enqueue in it with jobrt.InTx(tx) or below jobrt.WithTx(ctx, tx), and end it with Commit
// or Rollback.
func (m *Memory) Begin() *Tx {
	return &Tx{
		m: m, ended: make(chan struct{}), rows: make(map[jobrt.ID]*row), keys: make(map[string]jobrt.ID),
		batches: make(map[jobrt.ID]*batchRow), effects: make(map[string]*effect),
		stowed:   make(map[jobrt.ID]jobrt.OutboxItem),
		finished: make(map[jobrt.Ref]bool),
	}
}

// OnCommit arranges for f to run after Commit.
func (t *Tx) OnCommit(f func()) bool {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	if t.over() {
		return false
	}
	t.hooks = append(t.hooks, f)
	return true
}

// Commit makes everything visible at once and runs the functions of OnCommit.
func (t *Tx) Commit() error { return t.end(true) }

// Rollback forgets everything. After Commit it does nothing and returns ErrTxEnded, so it can be deferred.
func (t *Tx) Rollback() error { return t.end(false) }

// joins keeps a batch open until the transaction ends.
func (t *Tx) joins(b *batchRow) {
	if b != nil {
		b.joining++
		t.joined = append(t.joined, b)
	}
}

func (t *Tx) over() bool {
	select {
	case <-t.ended:
		return true
	default:
		return false
	}
}

func (t *Tx) end(commit bool) error {
	t.m.mu.Lock()
	if t.over() {
		t.m.mu.Unlock()
		return ErrTxEnded
	}
	for _, r := range t.locks {
		r.locked = nil
	}
	for _, r := range t.pinned {
		delete(r.pins, t)
	}
	for id := range t.rows {
		delete(t.m.pendingIDs, id)
	}
	for id := range t.batches {
		delete(t.m.pendingIDs, id)
	}
	for key := range t.effects {
		delete(t.m.pendingEffects, key)
	}
	for id := range t.stowed {
		delete(t.m.pendingItems, id)
	}
	for _, b := range t.joined {
		b.joining--
	}
	for key := range t.keys {
		delete(t.m.pendingKeys, key)
	}
	if commit {
		for _, write := range t.work {
			write()
		}
	}
	close(t.ended)
	t.m.mu.Unlock()
	if commit {
		for _, f := range t.hooks {
			f()
		}
	}
	return nil
}

// own returns the transaction that a call joins, nil for none.
func (m *Memory) own(tx jobrt.Tx) (*Tx, error) {
	if tx == nil {
		return nil, nil
	}
	t, ok := tx.(*Tx)
	if !ok || t == nil || t.m != m {
		return nil, fmt.Errorf("memory store: %w: a %T that is not of this store", jobrt.ErrOtherDatabase, tx)
	}
	if t.over() {
		return nil, fmt.Errorf("memory store: %w", ErrTxEnded)
	}
	return t, nil
}
