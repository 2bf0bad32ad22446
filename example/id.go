package main

import (
	"crypto/sha256"
	"strings"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// jobID derives a job's id from its line of the input, so that a second start after a crash names the same jobs and
// enqueues nothing twice, neither those that wait nor those that are done.
//
// A unique key would not do: it is free again as soon as its job has ended. An id is taken for as long as the history
// keeps the job. Its content is the whole line, not the invoice's number alone: who corrects a line and starts again
// gets this one invoice sent, and no other.
func jobID(fields []string) jobrt.ID {
	return madeID(append([]string{"SendInvoice"}, fields...)...)
}

// followID is the id of the job of another kind that follows a job.
func followID(job jobrt.ID, kind string) jobrt.ID { return madeID(kind, job.String()) }

func madeID(parts ...string) jobrt.ID {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x1f")))
	var id jobrt.ID
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 0x80 // UUID version 8: made in a way of one's own
	id[8] = id[8]&0x3f | 0x80
	return id
}
