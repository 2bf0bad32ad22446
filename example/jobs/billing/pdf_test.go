package billing

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/jobgen/jobgen/example/jobs"
)

func render(t *testing.T, a jobs.SendInvoice) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := (PDF{testSeller}).Render(&out, a); err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("INVOICE_DIR"); dir != "" { // to look at
		if err := os.WriteFile(fmt.Sprintf("%s/%s.pdf", dir, t.Name()), out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func pages(pdf []byte) int { return bytes.Count(pdf, []byte("/Type /Page\n")) }

func TestInvoiceFitsOnePage(t *testing.T) {
	a := testInvoice()
	a.Items = append(a.Items, jobs.Item{Quantity: 12, Price: 1_234_567, Text: "Mailbox with a name that goes on and on, because nobody could decide which of its many features to leave out, and with accents: éüłøşőđ"})
	pdf := render(t, a)
	if !bytes.HasPrefix(pdf, []byte("%PDF-1.")) || pages(pdf) != 1 {
		t.Errorf("%d bytes with %d pages", len(pdf), pages(pdf))
	}
}

func TestLongInvoiceGoesOverSeveralPages(t *testing.T) {
	a := testInvoice()
	for i := range 70 {
		a.Items = append(a.Items, jobs.Item{Quantity: 1, Text: fmt.Sprintf("Site %d", i+1), Price: 100})
	}
	if pdf := render(t, a); pages(pdf) != 3 {
		t.Errorf("%d pages, want 3", pages(pdf))
	}
}

func TestSameInvoiceGivesTheSameBytes(t *testing.T) {
	if !bytes.Equal(render(t, testInvoice()), render(t, testInvoice())) {
		t.Error("two renderings differ")
	}
}

func TestFontShowsTheLettersOfEurope(t *testing.T) {
	a := testInvoice()
	a.Customer = "éèüöäßøåæœçñłżźśćńąęščřžýůďťőűğşıİțăđþð€£–„“”’ Ελληνικά Кириллица"
	render(t, a)
}

func BenchmarkRender(b *testing.B) {
	for b.Loop() {
		if err := (PDF{testSeller}).Render(&bytes.Buffer{}, testInvoice()); err != nil {
			b.Fatal(err)
		}
	}
}
