// Example sends a month's invoices: it reads them from a CSV file, makes a job of each, renders them as PDF and mails
// them, and in the end it counts from the files that nothing was lost.
//
// Read it in this order: jobs/send_invoice.go (what a job gets), jobs/billing/send_invoice.go (the job), enqueue.go
// (the call), bill.go (how it is put together). The code in gen comes from the line below.
package main

//go:generate go tool jobgen generate ./...
