package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/jobgen/jobgen/example/jobs/billing"
)

// mailKey is what all deliveries of one line of the input share.
type mailKey struct {
	invoice int64
	key     string
}

func keyOf(n billing.DeliveryName) mailKey { return mailKey{n.InvoiceID, n.Key} }

func (e entry) key() mailKey { return mailKey{e.invoice.InvoiceID, billing.Key(e.id)} }

// count is what the three kinds of files say: the input, the mails, the refusals. The job tables are not asked.
type count struct {
	source     string
	lines      int
	mailed     int // lines with a mail
	deliveries int // mails of these lines, doubles included
	refusals   []refusal
	doubled    []entry // mailed more than once
	inDoubt    []billing.DeliveryName
	missing    []entry // neither mailed nor refused
	both       []entry // mailed and refused
	strays     int     // refusals of lines that the input doesn't have
	others     int     // mails of other inputs
	unfiled    []entry // mailed, but their receipts are not filed
	damaged    []string
}

// reconcile counts: the input from its first line again, and what lies in the outbox now.
func reconcile(s source, outbox *billing.Outbox, archive *billing.Archive, refusalsPath string) (count, error) {
	entries, err := s.read()
	if err != nil {
		return count{}, err
	}
	contents, err := outbox.List()
	if err != nil {
		return count{}, err
	}
	refusals, err := readRefusals(refusalsPath)
	if err != nil {
		return count{}, err
	}
	filed, err := archive.Receipts()
	if err != nil {
		return count{}, err
	}
	return match(s.name, entries, contents, filed, refusals), nil
}

func match(name string, entries []entry, contents billing.Contents, filed map[int64]bool, refusals []refusal) count {
	c := count{source: name, lines: len(entries), refusals: refusals, damaged: contents.Damaged}
	mails := make(map[mailKey]int)
	for _, name := range contents.Mails {
		mails[keyOf(name)]++
	}
	refused := make(map[int]bool)
	for _, r := range refusals {
		refused[r.line] = true
	}
	known := make(map[mailKey]bool)
	for _, e := range entries {
		n := 0
		if e.refused == nil {
			n = mails[e.key()]
			known[e.key()] = true
		}
		c.deliveries += n
		if n > 0 {
			c.mailed++
			if !filed[e.invoice.InvoiceID] {
				c.unfiled = append(c.unfiled, e)
			}
		}
		if n > 1 {
			c.doubled = append(c.doubled, e)
		}
		switch {
		case n > 0 && refused[e.line]:
			c.both = append(c.both, e)
		case n == 0 && !refused[e.line]:
			c.missing = append(c.missing, e)
		}
		delete(refused, e.line)
	}
	c.strays = len(refused)
	for key, n := range mails {
		if !known[key] {
			c.others += n
		}
	}
	for _, name := range contents.InDoubt {
		if known[keyOf(name)] {
			c.inDoubt = append(c.inDoubt, name)
		}
	}
	slices.SortFunc(c.inDoubt, func(a, b billing.DeliveryName) int { return cmp.Compare(a.InvoiceID, b.InvoiceID) })
	return c
}

// balanced reports whether every line has become a mail, whose receipt is filed, or a refusal, and not both.
func (c count) balanced() bool {
	return c.lines == c.mailed+len(c.refusals) && len(c.missing)+len(c.both)+len(c.unfiled)+len(c.damaged)+c.strays == 0
}

// showMost is how many lines of one sort are listed.
const showMost = 20

func (c count) print(w io.Writer, outbox string) {
	fmt.Fprintf(w, "\nReconciliation, counted from the files\n")
	fmt.Fprintf(w, "%7d lines in %s\n", c.lines, c.source)
	fmt.Fprintf(w, "%7d mails in %s%c, %d receipts in its archive\n", c.mailed, filepath.Clean(outbox), filepath.Separator, c.mailed-len(c.unfiled))
	fmt.Fprintf(w, "%7d refused, see %s\n", len(c.refusals), filepath.Join(outbox, "refused.csv"))
	list(w, c.refusals, func(r refusal) string { return fmt.Sprintf("line %d, invoice %s: %s", r.line, r.number, r.reason) })

	if len(c.doubled) > 0 {
		fmt.Fprintf(w, "%7d of these mailed more than once, on their way when a worker died (%d deliveries in all)\n", len(c.doubled), c.deliveries)
		list(w, c.doubled, entry.String)
	}
	if len(c.inDoubt) > 0 {
		fmt.Fprintf(w, "%7d deliveries are in doubt: the mail server had them and didn't answer; they may have arrived, too\n", len(c.inDoubt))
		list(w, c.inDoubt, billing.DeliveryName.String)
	}
	if c.others > 0 {
		fmt.Fprintf(w, "%7d other mails in the outbox belong to no line of this input; they are not counted\n", c.others)
	}
	if c.balanced() {
		fmt.Fprintf(w, "%d = %d + %d: every line is accounted for.\n", c.lines, c.mailed, len(c.refusals))
		return
	}
	fmt.Fprintf(w, "%d lines, %d mails, %d refused: THIS DOES NOT ADD UP.\n", c.lines, c.mailed, len(c.refusals))
	complain(w, c.missing, "lines have neither a mail nor a reason; has somebody emptied the outbox, but kept the database?")
	complain(w, c.both, "lines are refused, but have a mail")
	complain(w, c.unfiled, "lines have a mail, but no receipt in the archive")
	if c.strays > 0 {
		fmt.Fprintf(w, "%7d refusals are of lines that the input doesn't have\n", c.strays)
	}
	if len(c.damaged) > 0 {
		fmt.Fprintf(w, "%7d files in the outbox are no whole mails\n", len(c.damaged))
		list(w, c.damaged, func(name string) string { return name })
	}
}

func complain(w io.Writer, entries []entry, what string) {
	if len(entries) > 0 {
		fmt.Fprintf(w, "%7d %s\n", len(entries), what)
		list(w, entries, entry.String)
	}
}

func list[T any](w io.Writer, all []T, text func(T) string) {
	for _, one := range all[:min(len(all), showMost)] {
		fmt.Fprintf(w, "          %s\n", text(one))
	}
	if more := len(all) - showMost; more > 0 {
		fmt.Fprintf(w, "          and %d more\n", more)
	}
}

// String names an entry for people.
func (e entry) String() string { return fmt.Sprintf("line %d, invoice %s", e.line, e.number) }
