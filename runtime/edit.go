package jobrt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// EditStore is the part of [Store] that mends the arguments of jobs.
type EditStore interface {
	// EditArgs replaces the arguments of a waiting, scheduled, ready or dead job, in a transaction with an entry in the
	// audit that tells of the arguments only how long they are. Errors, and then nothing is changed: ErrNotFound, a
	// [StateError], ErrArgsChanged, a [UniqueConflictError].
	EditArgs(ctx context.Context, a Actor, e ArgsEdit) error
}

// ArgsEdit replaces the arguments of a job.
type ArgsEdit struct {
	ID ID
	// Was are the arguments that are replaced, as they are stored: others fail with ErrArgsChanged.
	Was []byte
	// Args is valid JSON, valid UTF-8, without NUL; Schema is theirs.
	Args   []byte
	Schema string
	// NewKey takes the place of the job's unique key, if that is WasKey; otherwise the key stays. Nil: it stays.
	WasKey, NewKey []byte
	// LimitKey takes the place of NewJob.LimitKey. Empty: it stays.
	LimitKey string
}

// OpEdit is what a [StateError] of an edit names.
const OpEdit OperationKind = "edit"

// ErrArgsChanged: somebody has edited the arguments meanwhile.
var ErrArgsChanged = errors.New("arguments were changed meanwhile")

// EditArgs mends the arguments of a job that waits or is dead, through the codec of its kind: change gets them as a
// handler would, and what it leaves is stored as an enqueue would, encrypted where the client encrypts. A unique key of
// unique= is made anew; the edit is refused when a live job holds it. So is the key by which limits tell jobs apart. A key by
// the option Unique stays, and so does what was made of the arguments besides: continuations by annotation have arguments
// of their own.
//
// An enqueue that is sent again with the job's id and the former arguments is refused from then on: see [WithID]. That
// holds for handlers that enqueued the job and run again, too; so edit jobs whose parents have ended.
//
// Errors: those of [EditStore], one of another kind, and what decodes, encodes or change says.
func EditArgs[A, R any](ctx context.Context, c *Client, actor Actor, job *Job[A, R], id ID, change func(args *A) error) error {
	failed := func(err error) error { return fmt.Errorf("edit arguments of job %s: %w", id, err) }
	info, err := c.store.Job(ctx, id)
	if err != nil {
		return failed(err)
	}
	if info.Kind != job.Kind && !slices.Contains(job.Aliases, info.Kind) {
		return failed(fmt.Errorf("it is of kind %s, not %s", info.Kind, job.Kind))
	}
	if slices.ContainsFunc(info.Parents, func(p ParentOutcome) bool { return p.Slot == SlotArgs }) {
		return failed(errors.New("they are the result of its parent"))
	}
	plain, err := c.sealer.open(sealArgs, info.Kind, info.Args)
	if err != nil {
		return failed(err)
	}
	args, err := job.decodeArgs(plain, info.ArgsSchema)
	if err != nil {
		return failed(err)
	}
	e := ArgsEdit{ID: id, Was: info.Args, Schema: schemaOf(job.Settings.Version, job.Args.Schema)}
	key := func() ([]byte, error) {
		if job.UniqueKey == nil {
			return nil, nil
		}
		key, err := job.UniqueKey(nil, &args)
		return uniqueKey(job.Kind, "args", key), err
	}
	if e.WasKey, err = key(); err != nil {
		return failed(err)
	}
	if err := change(&args); err != nil {
		return failed(err)
	}
	if e.NewKey, err = key(); err != nil {
		return failed(err)
	}
	if job.LimitKey != nil {
		if e.LimitKey, err = limitKeyOf(job.LimitKey, &args); err != nil {
			return failed(err)
		}
	}
	data, err := job.Args.Append(nil, &args)
	if err != nil {
		return failed(err)
	}
	if err := checkArgs(job.Kind, 0, data, c.config.MaxArgs); err != nil {
		return failed(err)
	}
	e.Args = c.sealer.sealRow(sealArgs, info.Kind, job.Kind, id[:], data)
	if err := c.store.EditArgs(ctx, actor, e); err != nil {
		return failed(err)
	}
	return nil
}

// EditArgs mends the arguments of a job as JSON, for operators without the job's code: edit gets them as they are stored
// and returns a JSON object. The type stays as it was, and so do a unique key and the key of a limit; a handler that
// cannot read the new text leaves the job dead, undecodable. Encrypted arguments, and [Redacted] in the place of a secret, are refused. Errors are
// those of [EditStore] besides.
func (o *Operator) EditArgs(ctx context.Context, id ID, edit func(args []byte) ([]byte, error)) error {
	failed := func(err error) error { return fmt.Errorf("edit arguments of job %s: %w", id, err) }
	info, err := o.store.Job(ctx, id)
	if err != nil {
		return failed(err)
	}
	if e, sealed := sealedIn(info.Args); sealed {
		return failed(fmt.Errorf("they are encrypted with key %q: edit them in a program that has it, by jobrt.EditArgs", clip(e.Key)))
	}
	args, err := edit(bytes.Clone(info.Args))
	if err != nil {
		return failed(err)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(args, &object); err != nil || object == nil {
		return failed(errors.New("the new ones are not a JSON object"))
	}
	if err := checkArgs(info.Kind, 0, args, DefaultMaxArgs); err != nil {
		return failed(err)
	}
	if hidden := []byte(Redacted); bytes.Count(args, hidden) > bytes.Count(info.Args, hidden) {
		return failed(fmt.Errorf("%s stands where a secret was: write the secret itself", Redacted))
	}
	if err := o.store.EditArgs(ctx, o.actor, ArgsEdit{ID: id, Was: info.Args, Args: args, Schema: info.ArgsSchema}); err != nil {
		return failed(err)
	}
	return nil
}
