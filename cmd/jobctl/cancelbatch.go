package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

func cancelBatchCommand() *cli.Command {
	return &cli.Command{
		Name:      "cancel-batch",
		Usage:     "end the members of an open batch that are not running, as cancelled",
		ArgsUsage: "ID",
		Description: "So do the batches within it. Members that run go on to their end, and are not tried again. Workers end the\n" +
			"members: while none is alive, the batch is only marked. The batch and the members keep the reason.",
		Flags: changing(),
		Action: func(c *cli.Context) error {
			ids, err := idOperands(c, aBatch)
			if err != nil {
				return err
			}
			if len(ids) > 1 {
				return usagef("cancel-batch takes one id, but got %d", len(ids))
			}
			return withStore(c, bunstore.Check, func(s *bunstore.Store) error {
				o, err := operatorOf(c, s)
				if err != nil {
					return err
				}
				return cancelBatch(c, s, o, ids[0])
			})
		},
	}
}

// cancelBatch marks a batch as cancelled, and says what that leads to.
func cancelBatch(c *cli.Context, s jobrt.Store, o *jobrt.Operator, id jobrt.ID) error {
	before, err := s.Batch(c.Context, id)
	switch {
	case errors.Is(err, jobrt.ErrNotFound):
		noBatch(c, id)
		return errSaid
	case err != nil:
		return err
	case before.State != jobrt.BatchOpen && before.Live() == 0: // a retry may not have opened it yet
		return fmt.Errorf("batch %s is %s: only an open one can be cancelled", id, before.State)
	}
	if err := o.CancelBatch(c.Context, id); err != nil {
		return err
	}
	after, err := s.Batch(c.Context, id)
	switch {
	case err != nil:
		return fmt.Errorf("batch %s may be cancelled; it can't be looked at: %w", id, err)
	case after.Cancelling == "": // its last member has ended
		return fmt.Errorf("batch %s is complete: nothing is left to cancel", id)
	case c.Bool("json"):
		return printJSON(c.App.Writer, shown(after))
	}
	w, live := c.App.Writer, after.Live()
	if before.Cancelling != "" {
		fmt.Fprintf(w, "batch %s was cancelled before, and keeps that reason: %s\n", id, oneLine(after.Cancelling))
	} else {
		fmt.Fprintf(w, "batch %s is cancelled and takes no more members\n", id)
	}
	if live > 0 {
		fmt.Fprintf(w, "%s live: workers end those that wait; those that run go on to their end\n", are(live, "member"))
	}
	return nil
}
