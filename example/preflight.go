package main

import (
	"context"
	"fmt"
	"io"

	"github.com/jobgen/jobgen/example/gen/worker"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// preflight is what to run with a new build before it is deployed: it reads every job that waits as this build would,
// changes nothing, and reports whether all can be run.
func preflight(ctx context.Context, store jobrt.Store, stdout io.Writer) (ok bool, err error) {
	report, err := worker.Preflight(ctx, store)
	if err != nil {
		return false, err
	}
	fmt.Fprint(stdout, report)
	return report.OK(), nil
}
