package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobgen/jobgen/example/jobs"
)

const head = "invoice,date,customer,address,email,items,total,currency\n"

// read reads a file that has its head.
func read(t *testing.T, body string) []entry {
	t.Helper()
	entries, err := readInput([]byte(head + body))
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

const good = `1,2026-01-02,Ann,"1 Lane, Leeds",a@b.example,2 x Web hosting @ 19.90,39.80,EUR` + "\n"

func TestGoodLineIsRead(t *testing.T) {
	e := read(t, `7,2026-01-02,"  Bob ""The Builder""   Ltd","1 Lane,
 Leeds ",a@b.example,"2 x Web hosting, large @ 1,019.9; 1 x Domain @ 12",2051.80,EUR`)[0]
	if e.refused != nil {
		t.Fatal(e.refused)
	}
	if e.line != 2 || e.number != "7" || e.id.IsZero() {
		t.Errorf("entry %+v", e)
	}
	want := jobs.SendInvoice{
		InvoiceID: 7, Issued: e.invoice.Issued, Customer: `Bob "The Builder" Ltd`, Address: "1 Lane,\nLeeds", Email: "a@b.example",
		Items: []jobs.Item{{Quantity: 2, Text: "Web hosting, large", Price: 101990}, {Quantity: 1, Text: "Domain", Price: 1200}},
		Total: 205180, Currency: "EUR",
	}
	if diff := cmp.Diff(want, e.invoice); diff != "" {
		t.Error(diff)
	}
	if got := e.invoice.Issued.Format("2006-01-02 MST"); got != "2026-01-02 UTC" {
		t.Errorf("issued %s", got)
	}
}

func TestUnreadableLineIsNamedAndTheRestGoesOn(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"too few fields", "2,2026-01-02,Half a line,", "4 fields, not 8"},
		{"too many fields", "2,2026-01-02,Smith, Jones,x,a@b.example,1 x A @ 1,1,EUR", "9 fields, not 8"},
		{"bare quote", `2,2026-01-02,The 12"" Shop" x,x,a@b.example,1 x A @ 1,1,EUR`, "a quote is never closed"},
		{"quote within a field", `2,2026-01-02,The "12" Shop,x,a@b.example,1 x A @ 1,1,EUR`, `bare "`},
		{"open quote", `2,2026-01-02,"Open,x,a@b.example,1 x A @ 1,1,EUR`, "a quote is never closed"},
		{"latin-1", "2,2026-01-02,Caf\xe9,x,a@b.example,1 x A @ 1,1,EUR", "not UTF-8"},
		{"NUL", "2,2026-01-02,A\x00B,x,a@b.example,1 x A @ 1,1,EUR", "NUL byte"},
		{"number", "two,2026-01-02,A,x,a@b.example,1 x A @ 1,1,EUR", `invoice "two"`},
		{"negative number", "-2,2026-01-02,A,x,a@b.example,1 x A @ 1,1,EUR", `invoice "-2"`},
		{"date", "2,02.01.2026,A,x,a@b.example,1 x A @ 1,1,EUR", `date "02.01.2026"`},
		{"item", "2,2026-01-02,A,x,a@b.example,one hosting,1,EUR", `item "one hosting"`},
		{"quantity", "2,2026-01-02,A,x,a@b.example,0 x A @ 1,1,EUR", "quantity"},
		{"price", "2,2026-01-02,A,x,a@b.example,1 x A @ free,1,EUR", `"free" is not an amount`},
		{"decimal comma", `2,2026-01-02,A,x,a@b.example,1 x A @ 1,"49,90",EUR`, `total: "49,90" is not an amount`},
		{"fraction of a cent", "2,2026-01-02,A,x,a@b.example,1 x A @ 1,1.005,EUR", "is not an amount"},
		{"huge", "2,2026-01-02,A,x,a@b.example,1 x A @ 1,99999999999999999999,EUR", "is not an amount"},
		{"currency", "2,2026-01-02,A,x,a@b.example,1 x A @ 1,1,euro", `currency "euro"`},
	} {
		for ends, end := range map[string]string{"LF": "\n", "CRLF": "\r\n"} {
			t.Run(c.name+" "+ends, func(t *testing.T) {
				third := strings.Replace(good, "1,", "3,", 1)
				entries := read(t, strings.ReplaceAll(good+c.line+"\n"+third+"\n\n"+strings.Replace(good, "1,", "4,", 1), "\n", end))
				if len(entries) != 4 {
					t.Fatalf("%d entries, want 4: %v", len(entries), entries)
				}
				if entries[0].refused != nil || entries[2].refused != nil || entries[3].refused != nil || entries[3].line != 7 {
					t.Errorf("the lines around it: %v, %v, line %d %v", entries[0].refused, entries[2].refused, entries[3].line, entries[3].refused)
				}
				bad := entries[1]
				if bad.line != 3 || bad.refused == nil || !strings.Contains(bad.refused.Error(), c.want) {
					t.Errorf("line %d: %v, want line 3 with %q", bad.line, bad.refused, c.want)
				}
			})
		}
	}
}

func TestSecondLineOfAnInvoiceIsRefused(t *testing.T) {
	entries := read(t, good+strings.Replace(good, "Ann", "Eve", 1))
	if err := entries[1].refused; entries[0].refused != nil || err == nil || err.Error() != "duplicate: invoice 1 is in line 2 already" {
		t.Errorf("%v, %v", entries[0].refused, err)
	}
}

func TestFileWithoutItsHeadIsRefused(t *testing.T) {
	for _, data := range []string{"", "\n\n", good, "a,b\n1,2\n", "%PDF-1.3\x00\xff"} {
		if entries, err := readInput([]byte(data)); err == nil {
			t.Errorf("%q gave %d entries", data, len(entries))
		}
	}
	if _, err := readInput([]byte("\xef\xbb\xbfInvoice, Date,customer,address,email,items,total,currency\r\n" + good)); err != nil {
		t.Errorf("a head with a byte order mark and capitals: %v", err)
	}
}

func TestJobIDDependsOnWhatTheLineMeans(t *testing.T) {
	id := func(body string) string { return read(t, body)[0].id.String() }
	if id(good) != id(strings.Replace(good, ",Ann,", `,"  Ann ",`, 1)) {
		t.Error("space around a name makes another job")
	}
	for _, other := range []string{"1 Lane", "39.80", "a@b.example"} {
		if changed := strings.Replace(good, other, "7", 1); id(good) == id(changed) && read(t, changed)[0].refused == nil {
			t.Errorf("without %q the job has the same id", other)
		}
	}
	composed, decomposed := strings.Replace(good, "Ann", "H\u00fcb\u00e9", 1), strings.Replace(good, "Ann", "Hu\u0308be\u0301", 1)
	if id(composed) != id(decomposed) {
		t.Error("the two spellings of an accent make two jobs")
	}
	if v := id(good)[14]; v != '8' {
		t.Errorf("id %s is not a UUID of version 8", id(good))
	}
}

func TestShippedFileHasTheMessOfRealData(t *testing.T) {
	entries, err := readInput(shipped)
	if err != nil {
		t.Fatal(err)
	}
	var refused []string
	for _, e := range entries {
		if e.refused != nil {
			refused = append(refused, e.String()+": "+e.refused.Error())
		}
	}
	if len(entries) != 400 || len(refused) != 10 {
		t.Errorf("%d lines, %d refused:\n%s", len(entries), len(refused), strings.Join(refused, "\n"))
	}
}

func TestMultipliedFileRepeatsEveryLineUnderANewNumber(t *testing.T) {
	body := good + "2,2026-01-02,Half a line,\n" + `3,2026-01-02,"Two` + "\n" + `lines",x,a@b.example,1 x A @ 1,1,EUR` + "\nno number\n"
	for n, want := range map[int]string{
		3:  "1 2! 3",
		4:  "1 2! 3 no number!",
		10: "1 2! 3 no number! 1000001 1000002! 1000003 no number! 2000001 2000002!",
	} {
		data, err := multiply([]byte(head+body), n)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := readInput(data)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			s := e.number
			if e.refused != nil {
				s += "!"
			}
			got = append(got, s)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("n=%d: %s, want %s", n, s, want)
		}
	}
	if _, err := multiply([]byte(head), 3); err == nil {
		t.Error("a file without lines was multiplied")
	}
}

func FuzzEveryLineOfTextIsAccountedFor(f *testing.F) {
	f.Add(good)
	f.Add("\"\n\"\"\n,\r\n")
	f.Fuzz(func(t *testing.T, body string) {
		next := 0
		for _, r := range splitRecords([]byte(body), 8) {
			if r.line <= next || (r.err == nil) != (len(r.fields) == 8) {
				t.Errorf("record %+v after line %d", r, next)
			}
			next = r.line + strings.Count(r.text, "\n")
		}
	})
}
