package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/jobgen/jobgen/example/jobs"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// columns is the first line of an input file.
var columns = []string{"invoice", "date", "customer", "address", "email", "items", "total", "currency"}

// entry is one line of the input: an invoice to send, or why there is none.
type entry struct {
	line    int
	number  string // as it stands in the file, for people
	id      jobrt.ID
	invoice jobs.SendInvoice
	refused error
}

// readInput reads a whole file. Only a file that is no invoice list at all is an error; a line that can't be read is an
// entry that says so.
func readInput(data []byte) ([]entry, error) {
	records := splitRecords(data, len(columns))
	if len(records) == 0 {
		return nil, errors.New("the file is empty")
	}
	if head := records[0]; head.err != nil || !slices.EqualFunc(head.fields, columns, sameName) {
		return nil, fmt.Errorf("line %d: the first line must name the columns: %s", head.line, strings.Join(columns, ","))
	}
	entries := make([]entry, 0, len(records)-1)
	seen := make(map[int64]int) // invoice -> line
	for _, rec := range records[1:] {
		e := readEntry(rec)
		if e.refused == nil {
			if first, again := seen[e.invoice.InvoiceID]; again {
				e.refused = fmt.Errorf("duplicate: invoice %d is in line %d already", e.invoice.InvoiceID, first)
			} else {
				seen[e.invoice.InvoiceID] = e.line
			}
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func sameName(got, want string) bool { return strings.EqualFold(strings.TrimSpace(got), want) }

func readEntry(rec record) entry {
	e := entry{line: rec.line}
	if rec.err != nil {
		e.number, _, _ = strings.Cut(rec.text, ",")
		e.refused = fmt.Errorf("can't be read: %w", rec.err)
		return e
	}
	fields := make([]string, len(rec.fields))
	for i, field := range rec.fields {
		fields[i] = tidy(field)
	}
	fields[3] = tidyLines(rec.fields[3])
	e.number = fields[0]
	invoice, err := readInvoice(fields)
	if err != nil {
		e.refused = fmt.Errorf("can't be read: %w", err)
		return e
	}
	e.invoice, e.id = invoice, jobID(fields)
	return e
}

// tidy makes texts that look equal be equal: one space between words, none around them, and a letter and its accent as one
// character. A line end becomes a space, so that none gets into the head of a mail.
func tidy(field string) string { return strings.Join(strings.Fields(norm.NFC.String(field)), " ") }

// tidyLines is tidy for a text of several lines.
func tidyLines(field string) string {
	var lines []string
	for line := range strings.Lines(field) {
		if line = tidy(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func readInvoice(f []string) (jobs.SendInvoice, error) {
	a := jobs.SendInvoice{Customer: f[2], Address: f[3], Email: f[4], Currency: f[7]}
	var err error
	if a.InvoiceID, err = strconv.ParseInt(f[0], 10, 64); err != nil || a.InvoiceID <= 0 {
		return a, fmt.Errorf("invoice %q is not a positive number", f[0])
	}
	if a.Issued, err = time.Parse(time.DateOnly, f[1]); err != nil {
		return a, fmt.Errorf("date %q is not of the form 2026-01-31", f[1])
	}
	if a.Items, err = readItems(f[5]); err != nil {
		return a, err
	}
	if a.Total, err = readAmount(f[6]); err != nil {
		return a, fmt.Errorf("total: %w", err)
	}
	if len(a.Currency) != 3 || strings.Trim(a.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return a, fmt.Errorf("currency %q is not of the form EUR", a.Currency)
	}
	return a, nil
}

// readItems reads "2 x Web hosting @ 19.90; 1 x Domain @ 12.00".
func readItems(text string) ([]jobs.Item, error) {
	var items []jobs.Item
	for part := range strings.SplitSeq(text, ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		quantity, rest, ok := strings.Cut(part, " x ")
		at := strings.LastIndex(rest, " @ ")
		if !ok || at < 0 {
			return nil, fmt.Errorf("item %q is not of the form 2 x Web hosting @ 19.90", part)
		}
		n, err := strconv.ParseInt(quantity, 10, 64)
		if err != nil || n < 1 || n > maxQuantity {
			return nil, fmt.Errorf("item %q: quantity is not within 1 and %d", part, maxQuantity)
		}
		price, err := readAmount(rest[at+3:])
		if err != nil {
			return nil, fmt.Errorf("item %q: %w", part, err)
		}
		items = append(items, jobs.Item{Quantity: n, Text: strings.TrimSpace(rest[:at]), Price: price})
	}
	return items, nil
}

// Bounds under which no sum of an invoice overflows.
const (
	maxQuantity = 100_000
	maxAmount   = 1_000_000_000_00 // hundredths
)

// readAmount reads 1234.5, 1,234.50 and -12 into hundredths.
func readAmount(text string) (int64, error) {
	bad := fmt.Errorf("%q is not an amount like 1,234.50", text)
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	if groups := strings.Split(whole, ","); len(groups) > 1 {
		for i, group := range groups {
			if len(group) > 3 || group == "" || i > 0 && len(group) != 3 {
				return 0, bad
			}
		}
		whole = strings.Join(groups, "")
	}
	if len(fraction) > 2 || whole == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, bad
	}
	cents, err := strconv.ParseInt(whole+(fraction + "00")[:2], 10, 64)
	if err != nil || cents > maxAmount {
		return 0, bad
	}
	if negative {
		cents = -cents
	}
	return cents, nil
}
