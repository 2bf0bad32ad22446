package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// mayShare judges a catalogue whose module does not have the service: nil for the module that it was taken over from,
// else an OwnedError. text selects module and former of the service's row, which the transaction of q has locked.
func mayShare(ctx context.Context, q querier, c jobrt.Catalog, text string) error {
	var module, former string
	if _, err := first(ctx, q, []any{&module, &former}, text, c.Service); err != nil {
		return err
	}
	if former == c.Module {
		return nil
	}
	return &jobrt.OwnedError{What: "service", Name: c.Service, Owner: module}
}
