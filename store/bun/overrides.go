package bunstore

import (
	"context"
	"fmt"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// overrideDialect is the statements of [jobrt.ControlStore].
type overrideDialect interface {
	// setOverride is given an actor and an override that Check has passed.
	setOverride(ctx context.Context, a jobrt.Actor, o jobrt.Override) error
	clearOverride(ctx context.Context, a jobrt.Actor, target, setting string) error
	overrides(ctx context.Context) ([]jobrt.Override, error)
	notifyControl(ctx context.Context) error
	workers(ctx context.Context) ([]jobrt.WorkerStatus, error)
}

// SetOverride implements [jobrt.ControlStore].
func (s *Store) SetOverride(ctx context.Context, a jobrt.Actor, o jobrt.Override) error {
	call := "override " + o.Setting + " of " + o.Target
	if err := a.Check(); err != nil {
		return s.failed(call, err)
	}
	if err := o.Check(); err != nil {
		return s.failed("set override", err)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.failed(call, s.d.setOverride(ctx, a, o))
}

// ClearOverride implements [jobrt.ControlStore].
func (s *Store) ClearOverride(ctx context.Context, a jobrt.Actor, target, setting string) error {
	call := "clear override " + setting + " of " + target
	if err := a.Check(); err != nil {
		return s.failed(call, err)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.failed(call, s.d.clearOverride(ctx, a, target, setting))
}

// Overrides implements [jobrt.ControlStore].
func (s *Store) Overrides(ctx context.Context) ([]jobrt.Override, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	all, err := s.d.overrides(ctx)
	return all, s.failed("overrides", err)
}

// NotifyControl implements [jobrt.ControlStore].
func (s *Store) NotifyControl(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.failed("notify control", s.d.notifyControl(ctx))
}

// untilOf is when an override that is set now ends, the zero time for never.
func untilOf(o jobrt.Override, now time.Time) (time.Time, error) {
	switch {
	case o.For > 0:
		return now.Add(o.For).Truncate(time.Microsecond), nil
	case !o.Until.IsZero() && !o.Until.After(now):
		return time.Time{}, fmt.Errorf("its end, %s, has passed: the store's clock says %s",
			o.Until.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return o.Until.Truncate(time.Microsecond), nil
}

// overrideDetail is what the audit keeps of an override.
type overrideDetail struct {
	Setting string     `json:"setting"`
	Value   string     `json:"value,omitempty"`
	Until   *time.Time `json:"until,omitempty"`
}

func detailOf(o jobrt.Override, until time.Time) overrideDetail {
	d := overrideDetail{Setting: o.Setting, Value: o.Value}
	if !until.IsZero() {
		u := until.UTC()
		d.Until = &u
	}
	return d
}

// scanOverride reads target, setting, value, set_by, reason, set_at and until.
func scanOverride(r rows) (jobrt.Override, error) {
	var o jobrt.Override
	var setAt, until instant
	err := r.Scan(&o.Target, &o.Setting, &o.Value, &o.By, &o.Reason, &setAt, &until)
	o.SetAt, o.Until = setAt.Time, until.Time
	return o, err
}

// collectOverrides runs a query whose rows scanOverride reads.
func collectOverrides(ctx context.Context, q querier, text string, args ...any) ([]jobrt.Override, error) {
	var all []jobrt.Override
	err := collect(ctx, q, func(r rows) error {
		o, err := scanOverride(r)
		all = append(all, o)
		return err
	}, text, args...)
	return all, err
}
