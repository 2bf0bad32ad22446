package main

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

// maxCancelReason is the longest reason of cancel-batch, in bytes: each member that it ends keeps a copy.
const maxCancelReason = 500

func cancelBatchCommand() *cli.Command {
	return &cli.Command{
		Name:      "cancel-batch",
		Usage:     "end the members of an open batch that are not running, as cancelled",
		ArgsUsage: "ID",
		Description: "So do the batches within it. Members that run go on to their end, and are not tried again. Workers end the\n" +
			"members: while none is alive, the batch is only marked.",
		Flags: []cli.Flag{&cli.StringFlag{Name: "reason", Usage: "`TEXT` that is kept with the batch and its cancelled members; must be given"}, jsonFlag()},
		Action: func(c *cli.Context) error {
			ids, err := idOperands(c, aBatch)
			if err != nil {
				return err
			}
			if len(ids) > 1 {
				return usagef("cancel-batch takes one id, but got %d", len(ids))
			}
			reason := strings.TrimSpace(c.String("reason"))
			switch {
			case reason == "":
				return usagef("cancel-batch needs --reason TEXT: it is kept with every member that is cancelled")
			case len(reason) > maxCancelReason:
				return usagef("--reason has %d bytes, the limit is %d", len(reason), maxCancelReason)
			case !utf8.ValidString(reason) || strings.ContainsRune(reason, 0):
				return usagef("--reason is not UTF-8 text")
			}
			return withStore(c, bunstore.Check, func(s *bunstore.Store) error { return cancelBatch(c, s, ids[0], reason) })
		},
	}
}

// cancelBatch marks a batch as cancelled, and says what that leads to.
func cancelBatch(c *cli.Context, s jobrt.Store, id jobrt.ID, reason string) error {
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
	if err := s.CancelBatch(c.Context, id, reason); err != nil {
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
