// Package jobrt is the runtime of jobgen: what generated code and the programs around it call to enqueue jobs and to
// run them.
//
// # A job's life
//
// A job is a row. [Enqueue], called by a generated stub, stores it and returns when it is durable. A [Pool] claims it,
// decodes its arguments, calls the function that the [Registry] holds for its kind, and settles the row by what the
// function returned:
//
//	           enqueue                claim                 nil
//	scheduled ─────────► ready ───────────────► running ───────────► succeeded
//	    ▲   (due: promoted)  ▲                     │ │ │   Cancel
//	    │                    └─ hand back, rescue ─┘ │ └───────────► cancelled
//	    └───────────── retry, snooze ────────────────┤     no retry left, Permanent, crashes
//	                                                 └─────────────► dead
//
// Every job runs at least once. It runs again when a worker vanishes between the handler's last side effect and the
// moment at which its end is durable. Jobs have no global order.
//
// # Who holds a job
//
// A worker process has one row with a lease, which it renews; a claimed job names its worker. When the lease has run
// out, any other process takes the jobs back. Each claim and each end of a claim raises the job's lease_seq, and every
// write about a claimed job names (id, lease_seq): a worker that comes back late changes nothing and is told so. The
// database's clock is the only one that is compared.
//
// A process that cannot renew cancels its handlers' contexts before its lease runs out. A database that is away for
// longer than a lease is nobody's crash: processes adopt their own jobs again when it is back, and only a process whose
// renewals have succeeded for a whole lease rescues others'.
//
// # What costs an attempt
//
// An error, a panic and a timeout do. A shutdown, a lost lease, a snooze and a crash of the worker do not; a job that
// was in flight when its worker vanished runs alone in its process the next time, and when it takes the process down
// three times while alone it is dead (quarantined).
package jobrt
