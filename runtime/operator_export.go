package jobrt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	// exportVersion of the format that is written, and the newest that is read.
	exportVersion = 1
	// exportPage is how many jobs are read at once.
	exportPage = 100
)

// exportHead is the first line of an export.
type exportHead struct {
	Format  string `json:"jobgen"` // "jobs"
	Version int    `json:"version"`
	Secrets bool   `json:"secrets"`
}

const exportFormat = "jobs"

// exportedJob is one line of an export.
type exportedJob struct {
	JobInfo
	Args   json.RawMessage `json:"args,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Key    []byte          `json:"unique_key,omitempty"`
	// Redacted is set when secrets were left out of the arguments.
	Redacted bool `json:"redacted,omitempty"`
}

// Export says which jobs are exported.
type Export struct {
	// Filter selects them; Before goes on behind the last job of an export that broke off. Limit is not used.
	Filter Filter
	// Secrets also writes what is tagged secret, with an entry in the audit. The actor must have a reason.
	Secrets bool
}

// Exported is what an export has written.
type Exported struct {
	Jobs int
	// Last is the job of the last line.
	Last ID
}

// Export writes jobs as JSON, one a line, newest first, behind a line that names the format. Jobs that are stored
// meanwhile are left out, and one that changes is written as it was at some moment of the export. Encrypted values are
// written as they are stored. It keeps no more than a page of jobs in memory; on an error, what it returns was written.
func (o *Operator) Export(ctx context.Context, w io.Writer, e Export) (Exported, error) {
	var done Exported
	f := e.Filter
	f.Limit = exportPage
	if e.Secrets {
		if o.actor.Reason == "" {
			return done, errors.New("export: who reads secrets gives a reason")
		}
		if err := o.store.RecordExport(ctx, o.actor, e.Filter); err != nil {
			return done, err
		}
	}
	kinds, err := o.kindsByName(ctx)
	if err != nil {
		return done, err
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(exportHead{exportFormat, exportVersion, e.Secrets}); err != nil {
		return done, fmt.Errorf("export: %w", err)
	}
	for {
		jobs, err := o.store.Jobs(ctx, f)
		if err != nil {
			return done, err
		}
		for _, j := range jobs {
			line, err := exported(j, kinds, e.Secrets)
			if err != nil {
				return done, fmt.Errorf("export %s: %w", j.ID, err)
			}
			if err := enc.Encode(line); err != nil {
				return done, fmt.Errorf("export: %w", err)
			}
			done.Jobs, done.Last = done.Jobs+1, j.ID
		}
		if len(jobs) < f.Limit {
			return done, nil
		}
		f.Before = done.Last
	}
}

func (o *Operator) kindsByName(ctx context.Context) (map[string]KindInfo, error) {
	list, err := o.store.Kinds(ctx)
	kinds := make(map[string]KindInfo, len(list))
	for _, k := range list {
		kinds[k.Kind] = k
	}
	return kinds, err
}

// exported is the line of a job. What secrets a kind has that the catalogue does not know cannot be told: then nothing is
// written of arguments and result.
func exported(j JobInfo, kinds map[string]KindInfo, secrets bool) (exportedJob, error) {
	line := exportedJob{JobInfo: j, Args: j.Args, Result: j.Result, Key: j.UniqueKey}
	k, known := kinds[j.Kind]
	if secrets || known && len(k.Secrets) == 0 {
		return line, nil
	}
	hide := func(value []byte, redact func([]byte) ([]byte, error)) ([]byte, error) {
		if _, sealed := sealedIn(value); sealed || len(value) == 0 {
			return value, nil
		}
		if !known {
			return fmt.Appendf(nil, "%q", Redacted), nil
		}
		return redact(value)
	}
	var err error
	if line.Args, err = hide(j.Args, k.RedactArgs); err != nil {
		return line, err
	}
	if line.Result, err = hide(j.Result, k.RedactResult); err != nil {
		return line, err
	}
	line.Redacted = bytes.Contains(line.Args, fmt.Appendf(nil, "%q", Redacted))
	return line, nil
}
