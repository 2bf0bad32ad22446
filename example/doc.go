// Example closes a month: it reads the invoices from a CSV file, one job makes a job of each, they are rendered as PDF
// and mailed, the receipt of each is filed, and a last job reports what was sent and what failed and why. In the end the
// program counts from the files that nothing was lost.
//
// Try:
//
//	go run ./example                            # the mails are in ./outbox, the jobs in ./billing.db
//	go run ./example                            # again: nothing is mailed twice
//	go run ./example -n 1000 -smtp-flaky 0.2    # more invoices, and a mail server with bad days
//	go run ./example -n 2000 -kill mid-finish   # kill -9 in the middle of a commit; without -kill it goes on
//	go run ./example -db postgres://me@localhost/billing -out outbox-postgres
//	go run ./example -preflight                 # can this build run what waits in the database?
//
// Read it in this order: jobs/send_invoice.go (what a job gets), jobs/billing/send_invoice.go (the job),
// jobs/billing/close_month.go (how jobs wait for others), enqueue.go (the call), bill.go (how it is put together). The
// code in gen, JOBS.md and jobs.lock come from the line below.
package main

//go:generate go tool jobgen generate ./...
