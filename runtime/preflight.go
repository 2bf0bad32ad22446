package jobrt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// PreflightReport is what Preflight found.
type PreflightReport struct {
	Service string          `json:"service"`
	Checked int             `json:"checked"` // live and dead rows of the service
	Kinds   []PreflightKind `json:"kinds"`   // those with findings, by name
}

// OK reports whether every row can be run by this build.
func (r PreflightReport) OK() bool { return len(r.Kinds) == 0 }

// WriteTo writes the report as a table for people.
func (r PreflightReport) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, r.String())
	return int64(n), err
}

// String is the report as a table for people.
func (r PreflightReport) String() string {
	var b strings.Builder
	if r.OK() {
		fmt.Fprintf(&b, "preflight %s: this build can run all %d live and dead jobs\n", r.Service, r.Checked)
		return b.String()
	}
	fmt.Fprintf(&b, "preflight %s: of %d live and dead jobs, this build cannot run some of these kinds:\n", r.Service, r.Checked)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KIND\tROWS\tUNDECODABLE\tFIRST\tWHY")
	for _, k := range r.Kinds {
		first, why := k.FirstJob.String(), k.FirstError
		if k.Unserved {
			why = "this build has no handler for it"
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%s\n", k.Kind, k.Rows, k.Undecodable, first, strings.Join(strings.Fields(why), " "))
	}
	_ = table.Flush() // into memory
	return b.String()
}

// PreflightKind is what one kind's rows suffer from.
type PreflightKind struct {
	Kind string `json:"kind"`
	// Rows of this kind that were checked.
	Rows int `json:"rows"`
	// Undecodable rows: arguments, or results of their parents, that this build cannot read.
	Undecodable int `json:"undecodable"`
	// Unserved is set when this build has no handler for the kind: all rows would wait.
	Unserved bool `json:"unserved,omitempty"`
	// First error, with the id of its job.
	FirstJob   ID     `json:"first_job,omitzero"`
	FirstError string `json:"first_error,omitempty"`
}

// preflightPage is how many rows are read at a time.
const preflightPage = 1000

// Preflight reads every live and dead job of the jobs' service as this build would, and changes nothing. Run it before
// a deploy: jobs.lock compares schemas, not the rows that wait now. Generated code calls it.
//
// It reads as many rows as there are, a page at a time, and asks for a job by itself when that takes results of others.
// Upgrades are run. Rows that come while it is at work may be missed. Encrypted rows are read with the keys of the client
// that ctx has by WithClient.
func Preflight(ctx context.Context, store Store, jobs ...AnyJob) (PreflightReport, error) {
	c := preflight{store: store, sealer: sealerOf(ctx, store), jobs: make(map[string]*erasedJob), found: make(map[string]*PreflightKind)}
	if store == nil {
		return c.report, errors.New("preflight: nil store")
	}
	if len(jobs) == 0 {
		return c.report, errors.New("preflight: no jobs")
	}
	for _, j := range jobs {
		e := j.erase()
		if c.report.Service == "" {
			c.report.Service = e.service
		}
		if e.service != c.report.Service {
			return c.report, fmt.Errorf("preflight: jobs of two services, %q and %q", c.report.Service, e.service)
		}
		for _, name := range e.names {
			c.jobs[name] = e
		}
	}
	if err := c.run(ctx); err != nil {
		return c.report, fmt.Errorf("preflight: %w", err)
	}
	for _, k := range c.found {
		if k.Undecodable > 0 || k.Unserved {
			c.report.Kinds = append(c.report.Kinds, *k)
		}
	}
	slices.SortFunc(c.report.Kinds, func(a, b PreflightKind) int { return compare(a.Kind, b.Kind) })
	return c.report, nil
}

type preflight struct {
	store  Store
	sealer *sealer
	jobs   map[string]*erasedJob // by stored name
	found  map[string]*PreflightKind
	report PreflightReport
}

// run reads all rows, newest first.
func (c *preflight) run(ctx context.Context) error {
	f := Filter{States: []State{StateWaiting, StateScheduled, StateReady, StateRunning, StateDead}, Limit: preflightPage}
	for {
		var page []JobInfo
		err := bounded(ctx, func(ctx context.Context) (err error) {
			page, err = c.store.Jobs(ctx, f)
			return err
		})
		if err != nil {
			return err
		}
		for i := range page {
			if page[i].Service != c.report.Service {
				continue
			}
			if err := c.check(ctx, &page[i]); err != nil {
				return err
			}
		}
		if len(page) < preflightPage {
			return nil
		}
		f.Before = page[len(page)-1].ID
	}
}

// check reads one row.
func (c *preflight) check(ctx context.Context, row *JobInfo) error {
	k := c.found[row.Kind]
	if k == nil {
		k = &PreflightKind{Kind: row.Kind}
		c.found[row.Kind] = k
	}
	job := c.jobs[row.Kind]
	var unread error
	if job != nil {
		var parents []ParentOutcome
		if job.mayTake(row) {
			known, err := c.parents(ctx, row.ID)
			if errors.Is(err, ErrNotFound) {
				return nil // it has ended meanwhile
			}
			if err != nil {
				return err
			}
			parents = known
		}
		unread = c.read(job, row, parents)
	}
	k.Rows++
	c.report.Checked++
	switch {
	case job == nil:
		k.Unserved = true
		if k.FirstJob.IsZero() {
			k.FirstJob = row.ID
		}
	case unread != nil:
		if k.Undecodable++; k.FirstError == "" {
			k.FirstJob, k.FirstError = row.ID, storable(unread.Error(), maxMessage)
		}
	}
	return nil
}

// read decrypts and decodes what a row's handler takes.
func (c *preflight) read(job *erasedJob, row *JobInfo, parents []ParentOutcome) error {
	args, err := c.sealer.open(sealArgs, row.Kind, row.Args)
	if err == nil {
		err = c.sealer.openParents(parents)
	}
	if err != nil {
		return err
	}
	row.Args = args
	return job.read(row, parents)
}

func (c *preflight) parents(ctx context.Context, id ID) (parents []ParentOutcome, err error) {
	err = bounded(ctx, func(ctx context.Context) error {
		row, err := c.store.Job(ctx, id)
		parents = row.Parents
		return err
	})
	return parents, err
}

// mayTake reports whether a row's handler takes outcomes of parents: by its type, or because its argument is a result.
func (e *erasedJob) mayTake(row *JobInfo) bool {
	return len(e.parents) > 0 || e.takesArgs && string(row.Args) == noArgs
}

// read decodes what a row's handler takes, as far as it is known. A panic, in an upgrade say, is an error.
func (e *erasedJob) read(row *JobInfo, parents []ParentOutcome) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	from, isFrom := argsFrom(parents)
	switch {
	case !isFrom:
		err = e.decode(row.Args, row.ArgsSchema)
	case known(from):
		err = e.decodeFrom(from)
	}
	for _, p := range parents {
		if err != nil {
			return err
		}
		if p.Slot < 0 || p.Slot >= len(e.parents) || !known(p) { // a handler ignores what it has no parameter for
			continue
		}
		if unread := e.parents[p.Slot].check(p.Result); unread != nil {
			err = fmt.Errorf("result of parent %s (%s): %w", p.ID, p.Kind, unread)
		}
	}
	return err
}

// known reports whether a parent has a result by now, that its child takes.
func known(p ParentOutcome) bool {
	return p.State == StateSucceeded && p.On != IfFailed && p.Kind != ""
}
