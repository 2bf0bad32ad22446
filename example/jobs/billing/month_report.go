package billing

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/jobgen/jobgen/example/jobs"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// MonthReport lists what was sent and what failed, and why. It runs once every invoice of the month has ended.
//
//job:queue=reports retry=8 delays=1s,10s,1m timeout=1m
func (s *Service) MonthReport(ctx context.Context, a jobs.MonthReport, sent []jobrt.Outcome[jobs.Receipt]) error {
	var failed bytes.Buffer
	n := 0
	for i, outcome := range sent {
		if outcome.Failure == nil {
			n++
			continue
		}
		fmt.Fprintf(&failed, "invoice %d: %s\n", a.Invoices[i], whyFailed(a.Invoices[i], *outcome.Failure))
	}
	var report bytes.Buffer
	fmt.Fprintf(&report, "Invoices of %s: %d sent, %d failed\n", a.Month, n, len(sent)-n)
	if failed.Len() > 0 {
		fmt.Fprintf(&report, "\nFailed\n%s", &failed)
	}
	if n > 0 {
		fmt.Fprintf(&report, "\nSent\n")
	}
	for i, outcome := range sent {
		if receipt, err := outcome.Get(); err == nil {
			fmt.Fprintf(&report, "invoice %d: %s\n", a.Invoices[i], receipt.MessageID)
		}
	}
	if err := s.Archive.File(ctx, reportName(a.Month), report.Bytes()); err != nil {
		return fmt.Errorf("report of %s: %w", a.Month, err)
	}
	return nil
}

// whyFailed is a failure in the words of a report.
func whyFailed(invoice int64, f jobrt.Failure) string {
	reason := strings.TrimPrefix(f.Message, fmt.Sprintf("invoice %d: ", invoice))
	if f.Reason == jobrt.DeadExhausted {
		return fmt.Sprintf("given up after %d attempts: %s", f.Attempts, reason)
	}
	return reason
}

func reportName(month string) string { return "report-" + month + ".txt" }
