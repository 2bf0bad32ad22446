package main

import (
	"strings"
	"testing"

	"github.com/jobgen/jobgen/example/jobs/billing"
)

func TestReconciliation(t *testing.T) {
	entries := read(t, good+strings.Replace(good, "1,", "2,", 1)+"3,half a line\n"+strings.Replace(good, "1,", "4,", 1))
	name := func(i int, token int64) billing.DeliveryName {
		return billing.DeliveryName{InvoiceID: entries[i].invoice.InvoiceID, Key: billing.Key(entries[i].id), Token: token}
	}
	all := []billing.DeliveryName{name(0, 1), name(1, 1), name(3, 1)}
	unread := refusal{4, "3", "can't be read"}
	filed := map[int64]bool{entries[0].invoice.InvoiceID: true, entries[1].invoice.InvoiceID: true, entries[3].invoice.InvoiceID: true}
	for _, c := range []struct {
		name     string
		contents billing.Contents
		refusals []refusal
		balanced bool
		says     string
	}{
		{"every line is there", billing.Contents{Mails: all}, []refusal{unread}, true, "4 = 3 + 1: every line is accounted for"},
		{"a mail is lost", billing.Contents{Mails: all[1:]}, []refusal{unread}, false, "line 2, invoice 1"},
		{"a reason is lost", billing.Contents{Mails: all}, nil, false, "line 4, invoice 3"},
		{"a double can't make up for a loss", billing.Contents{Mails: append(all[1:], name(1, 2))}, []refusal{unread}, false, "line 2, invoice 1"},
		{"a double is reported", billing.Contents{Mails: append(all, name(1, 2))}, []refusal{unread}, true, "1 of these mailed more than once, on their way when a worker died (4 deliveries in all)"},
		{"mailed and refused", billing.Contents{Mails: all}, []refusal{unread, {2, "1", "bad"}}, false, "1 lines are refused, but have a mail"},
		{"a mail of the line as it was before", billing.Contents{Mails: append(all, billing.DeliveryName{InvoiceID: 1, Key: "00000000", Token: 1})}, []refusal{unread}, true, "1 other mails"},
		{"a mail of an earlier content does not count", billing.Contents{Mails: append(all[1:], billing.DeliveryName{InvoiceID: 1, Key: "00000000", Token: 1})}, []refusal{unread}, false, "DOES NOT ADD UP"},
		{"a refusal of no line", billing.Contents{Mails: all}, []refusal{unread, {9, "9", "?"}}, false, "1 refusals are of lines"},
		{"half a file", billing.Contents{Mails: all, Damaged: []string{"4-00000000-1.eml"}}, []refusal{unread}, false, "4-00000000-1.eml"},
		{"in doubt", billing.Contents{Mails: all, InDoubt: all[:1]}, []refusal{unread}, true, "1 deliveries are in doubt"},
	} {
		t.Run(c.name, func(t *testing.T) {
			count := match("in.csv", entries, c.contents, filed, c.refusals)
			var out strings.Builder
			count.print(&out, "outbox")
			if count.balanced() != c.balanced || !strings.Contains(out.String(), c.says) {
				t.Errorf("balanced %v, want %v with %q:\n%s", count.balanced(), c.balanced, c.says, out.String())
			}
		})
	}
}

func TestReconciliationMissesAReceipt(t *testing.T) {
	entries := read(t, good)
	mails := billing.Contents{Mails: []billing.DeliveryName{{InvoiceID: entries[0].invoice.InvoiceID, Key: billing.Key(entries[0].id), Token: 1}}}
	count := match("in.csv", entries, mails, nil, nil)
	var out strings.Builder
	count.print(&out, "outbox")
	if want := "1 lines have a mail, but no receipt in the archive"; count.balanced() || !strings.Contains(out.String(), want) {
		t.Errorf("balanced %v, want false with %q:\n%s", count.balanced(), want, out.String())
	}
}

func TestFlagsThatMakeNoSenseAreUsageErrors(t *testing.T) {
	for _, args := range [][]string{{"in.csv"}, {"-n", "-1"}, {"-smtp-flaky", "2"}, {"-smtp-flaky", "NaN"}, {"-workers", "0"}, {"-kill", "sometime"}, {"-kill-at", "0"}, {"-nope"}} {
		var stderr strings.Builder
		if _, err := parseFlags(args, &stderr); err != errUsage || stderr.Len() == 0 {
			t.Errorf("%v: %v, %q", args, err, stderr.String())
		}
	}
}

func TestPasswordsAreNotShown(t *testing.T) {
	for dsn, want := range map[string]string{
		"sqlite:billing.db": "sqlite:billing.db",
		"postgres://me:secret@db:5432/billing?password=secret": "postgres://me:xxxxx@db:5432/billing",
		"postgres://me:sec ret@db/\x7f":                        "the database",
	} {
		if got := databaseName(dsn); got != want {
			t.Errorf("%q shows as %q, want %q", dsn, got, want)
		}
	}
}
