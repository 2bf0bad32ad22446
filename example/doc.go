// Example sends a month's invoices: it reads them from a CSV file, makes a job of each, renders them as PDF and mails
// them, and in the end it counts from the files that nothing was lost.
//
// Try:
//
//	go run ./example                            # the mails are in ./outbox, the jobs in ./billing.db
//	go run ./example                            # again: nothing is mailed twice
//	go run ./example -n 1000 -smtp-flaky 0.2    # more invoices, and a mail server with bad days
//	go run ./example -n 2000 -kill mid-finish   # kill -9 in the middle of a commit; without -kill it goes on
//	go run ./example -db postgres://me@localhost/billing -out outbox-postgres
//
// Read it in this order: jobs/send_invoice.go (what a job gets), jobs/billing/send_invoice.go (the job), enqueue.go
// (the call), bill.go (how it is put together). The code in gen comes from the line below.
package main

//go:generate go tool jobgen generate ./...
