package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/jobgen/jobgen/example/gen"
	"github.com/jobgen/jobgen/example/jobs"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// queue is the one that the annotation of SendInvoice names.
var queue = gen.SendInvoiceJob.Settings.Queue

// maxBatch is how many jobs one statement takes. The built-in input is one batch; of a larger one, every batch can be
// sent again.
const maxBatch = 10_000

// enqueue makes a job of every entry that can be sent, and says how many these are. Jobs of an earlier start are left
// as they are: see jobID.
func enqueue(ctx context.Context, entries []entry) (sendable int, err error) {
	var batch []entry
	for _, e := range entries {
		if e.refused == nil {
			batch = append(batch, e)
		}
	}
	for chunk := range slices.Chunk(batch, maxBatch) {
		args := make([]jobs.SendInvoice, len(chunk))
		for i, e := range chunk {
			args[i] = e.invoice
		}
		_, err := gen.EnqueueSendInvoiceMany(ctx, args, jobrt.Each(func(i int) []jobrt.EnqueueOption {
			return []jobrt.EnqueueOption{jobrt.WithID(chunk[i].id)}
		}))
		switch {
		case ctx.Err() != nil:
			return 0, errInterrupted
		case err != nil:
			return 0, fmt.Errorf("enqueue lines %d to %d: %w", chunk[0].line, chunk[len(chunk)-1].line, err)
		}
	}
	return len(batch), nil
}
