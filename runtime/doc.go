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
//	         all conditions hold
//	waiting ──────────────────────► ready, or scheduled when it has a delay
//	   └─ one cannot hold any more ► skipped, cancelled
//
// Every job runs at least once. It runs again when a worker vanishes between the handler's last side effect and the
// moment at which its end is durable. Jobs have no global order.
//
// # Jobs that wait for others
//
// A job may have parents: jobs and batches whose ends it waits for, each with a [Condition]. It is stored as waiting in
// the transaction that says so, and whatever the parents do at that moment, it is released exactly once, when all its
// conditions hold. A parent that dies keeps its children waiting, because a retry revives the chain; one that is
// cancelled takes them with it.
//
// An end is durable before what waits for it is told. Finish says that somebody waits; the pool that wrote it calls
// Release at once, in one goroutine, which serves everything that has ended meanwhile in one round. A process that dies
// in between leaves the work to a duty that some process does every second. Release may run twice, and be cut off.
//
// The results that children take are stored with the parent, and read when the child is claimed. What this build cannot
// read, arguments or results, parks the job as dead (undecodable) without an attempt, and a build that reads it by
// another schema makes it ready again: at its start, and every few minutes while it runs.
//
// # Several jobs at once
//
// [Client.Graph] and [Client.Batch] run a function that enqueues, and store what it has enqueued in one transaction: a
// chain is there as a whole or not at all, and no member of a batch ends before the batch knows of them all. Within the
// function a handle has the id under which its job is sent; where that meets a unique key, the handle and whatever waits
// for it name the holder as soon as the store has said so. Continuations by annotation are stored with their job in the
// same way, and left out where the job is: the holder of its key has its own.
//
// Inside a handler all these ids derive from the running job, so that the next attempt stores nothing twice.
//
// # Effects that happen once
//
// "At least once" is wrong for a payment. A job with once= writes an intent before its handler runs, and the end of the
// attempt settles it in the same transaction as the job: done, with the result; or not, when the handler's error says
// so. Work that is done does not run again, in whatever job of the kind. An attempt that was cut off in between, by a
// crash, a timeout or a shutdown, leaves the key in doubt, and nobody guesses: verify= finds out, in-doubt=rerun runs
// again, and otherwise the job is dead (in doubt) until an operator retries it. [Once] does the same for any key within
// a handler.
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
