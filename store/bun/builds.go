package bunstore

import (
	"context"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// buildDialect is the statements about builds. A sync calls beginSync first, in its own transaction, and changes no row
// whose build is among those that it returns.
type buildDialect interface {
	builds(ctx context.Context) ([]jobrt.BuildInfo, error)
	retireBuild(ctx context.Context, a jobrt.Actor, service, build string) error
}

const (
	// buildGuard is how long the rows of a build are left alone by older ones after its last worker was seen.
	buildGuard = 10 * time.Minute
	// buildKeep is how long a build is remembered after it was seen last. One that comes back later counts as new.
	buildKeep = 365 * 24 * time.Hour
)

// Builds implements [jobrt.ControlStore].
func (s *Store) Builds(ctx context.Context) ([]jobrt.BuildInfo, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	all, err := s.d.builds(ctx)
	return all, s.failed("builds", err)
}

// RetireBuild implements [jobrt.ControlStore].
func (s *Store) RetireBuild(ctx context.Context, a jobrt.Actor, service, build string) error {
	call := "retire build " + build + " of " + service
	if err := a.Check(); err != nil {
		return s.failed(call, err)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.failed(call, s.d.retireBuild(ctx, a, service, build))
}

// buildTarget is what the audit calls a build.
func buildTarget(service, build string) string { return "build:" + service + "/" + build }

// collectBuilds reads service, build, first_seen, last_seen, retired_at and the number of live workers.
func collectBuilds(ctx context.Context, q querier, text string, args ...any) ([]jobrt.BuildInfo, error) {
	var all []jobrt.BuildInfo
	err := collect(ctx, q, func(r rows) error {
		var b jobrt.BuildInfo
		var first, last, retired instant
		err := r.Scan(&b.Service, &b.Build, &first, &last, &retired, &b.Workers)
		b.FirstSeen, b.LastSeen, b.Retired = first.Time, last.Time, retired.Time
		all = append(all, b)
		return err
	}, text, args...)
	return all, err
}
