package jobtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// EditArgs replaces the arguments of a job that waits or is dead.
func (m *Memory) EditArgs(ctx context.Context, a jobrt.Actor, e jobrt.ArgsEdit) error {
	if err := asked(ctx); err != nil {
		return err
	}
	if err := a.Check(); err != nil {
		return fmt.Errorf("memory store: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.edit(a, e); err != nil {
		return fmt.Errorf("memory store: edit job %s: %w", e.ID, err)
	}
	return nil
}

func (m *Memory) edit(a jobrt.Actor, e jobrt.ArgsEdit) error {
	r, now := m.jobs[e.ID], m.now()
	switch {
	case r == nil:
		return jobrt.ErrNotFound
	case !jobrt.OpEdit.Fits(r.info.State):
		return &jobrt.StateError{ID: e.ID, Do: jobrt.OpEdit, State: r.info.State}
	case !bytes.Equal(r.info.Args, e.Was):
		return jobrt.ErrArgsChanged
	case !json.Valid(e.Args) || !isText(string(e.Args)):
		return fmt.Errorf("args are not JSON text: %w", jobrt.ErrArgs)
	}
	before, key := r.uniqueKey, r.uniqueKey
	if e.NewKey != nil && key != "" && key == string(e.WasKey) {
		key = string(e.NewKey)
	}
	if key != before && (r.info.State != jobrt.StateDead || m.holds(r)) {
		holder, held := m.keyHolder(key)
		if u, ok := m.uniques[key]; ok && !held && now.Before(u.until) {
			holder, held = u.holder, true
		}
		if pending := m.pendingKeys[key]; !held && pending != nil {
			holder, held = pending.keys[key], true
		}
		if held && holder != e.ID {
			return &jobrt.UniqueConflictError{ID: e.ID, Holder: holder}
		}
		delete(m.uniques, before)
		m.uniques[key] = uniqueKey{holder: e.ID}
	}
	detail := map[string]any{
		"was": r.info.State, "bytes_before": len(e.Was), "bytes": len(e.Args), "key_changed": key != before,
	}
	if err := m.audit(now, a, string(jobrt.OpEdit), "job:"+e.ID.String(), detail); err != nil {
		return err
	}
	m.replacements[e.ID] = replacement{e.ID, now}
	r.info.Args, r.info.ArgsSchema, r.argsSchema, r.uniqueKey = bytes.Clone(e.Args), e.Schema, e.Schema, key
	if e.LimitKey != "" {
		r.info.LimitKey = e.LimitKey
	}
	return nil
}
