package bunstore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// editDialect edits the arguments of locked jobs, live or dead.
type editDialect interface {
	// readArgs tells besides whether the job holds its unique key, if it has one: it is live, or dead until it is resolved.
	readArgs(ctx context.Context, q querier, id jobrt.ID, dead bool) (args raw, key unhex, holds bool, err error)
	writeArgs(ctx context.Context, q querier, e jobrt.ArgsEdit, key []byte, dead bool) error
	// noteEdited remembers that the arguments are no longer those of the enqueue, which may come again.
	noteEdited(ctx context.Context, q querier, id jobrt.ID) error
	// swapKey gives a job another unique key, unless somebody holds that: then it returns who.
	swapKey(ctx context.Context, q querier, e jobrt.ArgsEdit) (holder jobrt.ID, err error)
}

// EditArgs implements [jobrt.EditStore].
func (s *Store) EditArgs(ctx context.Context, a jobrt.Actor, e jobrt.ArgsEdit) error {
	call := "edit job " + e.ID.String()
	if err := a.Check(); err != nil {
		return s.failed(call, err)
	}
	if !utf8.Valid(e.Args) || bytes.IndexByte(e.Args, 0) >= 0 || !json.Valid(e.Args) {
		return s.failed(call, fmt.Errorf("args are not JSON text: %w", jobrt.ErrArgs))
	}
	if len(e.Schema) > maxName || !isText(e.Schema) {
		return s.failed(call, fmt.Errorf("args schema %.40q is not text of at most %d bytes", e.Schema, maxName))
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.failed(call, s.d.inWrite(ctx, func(q querier) error { return editArgs(ctx, s.d, q, a, e) }))
}

func editArgs(ctx context.Context, d dialect, q querier, a jobrt.Actor, e jobrt.ArgsEdit) error {
	places, err := d.lockJobs(ctx, q, []jobrt.ID{e.ID})
	if err != nil {
		return err
	}
	at, known := places[e.ID]
	dead := at.state == jobrt.StateDead
	switch {
	case !known:
		return jobrt.ErrNotFound
	case !jobrt.OpEdit.Fits(at.state):
		return &jobrt.StateError{ID: e.ID, Do: jobrt.OpEdit, State: at.state}
	}
	was, stored, holds, err := d.readArgs(ctx, q, e.ID, dead)
	if err != nil {
		return err
	}
	if !bytes.Equal(was, e.Was) {
		return jobrt.ErrArgsChanged
	}
	key := []byte(stored)
	if e.NewKey != nil && len(key) > 0 && bytes.Equal(key, e.WasKey) && !bytes.Equal(key, e.NewKey) {
		key = e.NewKey
		if holds { // one that does not takes it when it lives again
			holder, err := d.swapKey(ctx, q, e)
			if err != nil {
				return err
			}
			if !holder.IsZero() {
				return &jobrt.UniqueConflictError{ID: e.ID, Holder: holder}
			}
		}
	}
	if err := d.writeArgs(ctx, q, e, key, dead); err != nil {
		return err
	}
	if err := d.noteEdited(ctx, q, e.ID); err != nil {
		return err
	}
	return d.audit(ctx, q, a, string(jobrt.OpEdit), "job:"+e.ID.String(), map[string]any{
		"was": at.state, "bytes_before": len(was), "bytes": len(e.Args), "key_changed": !bytes.Equal(key, stored),
	})
}
