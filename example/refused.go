package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// refusal is one line of refused.csv: a line of the input that no mail will come of.
type refusal struct {
	line   int
	number string
	reason string
}

var refusalColumns = []string{"line", "invoice", "reason"}

// writeRefusals writes refused.csv: what could not be read, and what the jobs have given up on.
func writeRefusals(ctx context.Context, path string, entries []entry, client *jobrt.Client) error {
	dead, err := deadJobs(ctx, client.Store())
	if err != nil {
		return err
	}
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	_ = w.Write(refusalColumns) // a buffer takes everything
	for _, e := range entries {
		reason := ""
		if e.refused != nil {
			reason = e.refused.Error()
		} else if job, ok := dead[e.id]; ok {
			reason = whyDead(e, job)
		} else {
			continue
		}
		_ = w.Write([]string{strconv.Itoa(e.line), e.number, reason})
	}
	w.Flush()
	return replaceFile(path, out.Bytes())
}

// whyDead is a dead job's last error, without what its line says already.
func whyDead(e entry, job jobrt.JobInfo) string {
	reason := strings.TrimPrefix(job.Error, fmt.Sprintf("invoice %d: ", e.invoice.InvoiceID))
	switch job.Reason {
	case jobrt.DeadPermanent:
		return reason
	case jobrt.DeadExhausted:
		return fmt.Sprintf("given up after %d attempts: %s", job.MaxRetries+1, reason)
	default:
		return fmt.Sprintf("%s: %s", job.Reason, reason)
	}
}

// deadJobs reads all dead jobs of the billing queue, page by page.
func deadJobs(ctx context.Context, store jobrt.Store) (map[jobrt.ID]jobrt.JobInfo, error) {
	dead := make(map[jobrt.ID]jobrt.JobInfo)
	filter := jobrt.Filter{States: []jobrt.State{jobrt.StateDead}, Queue: billingQueue, Limit: 1000}
	for {
		page, err := listJobs(ctx, store, filter)
		if err != nil {
			return nil, fmt.Errorf("list dead jobs: %w", err)
		}
		for _, job := range page {
			dead[job.ID] = job
		}
		if len(page) < filter.Limit {
			return dead, nil
		}
		filter.Before = page[len(page)-1].ID
	}
}

func listJobs(ctx context.Context, store jobrt.Store, f jobrt.Filter) ([]jobrt.JobInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return store.Jobs(ctx, f)
}

// readRefusals reads refused.csv back.
func readRefusals(path string) ([]refusal, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("refusals: %w", err)
	}
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var all []refusal
	for _, row := range rows[min(1, len(rows)):] {
		line, err := strconv.Atoi(row[0])
		if err != nil || len(row) != len(refusalColumns) {
			return nil, fmt.Errorf("%s: %q is no line number", path, row[0])
		}
		all = append(all, refusal{line, row[1], row[2]})
	}
	return all, nil
}
