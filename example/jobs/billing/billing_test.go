package billing

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jobgen/jobgen/example/jobs"
)

var testSeller = Seller{Name: "Seller & Söhne", Address: "1 Street, Town", Email: "billing@seller.example"}

func testInvoice() jobs.SendInvoice {
	return jobs.SendInvoice{
		InvoiceID: 100017, Issued: time.Date(2026, 1, 17, 0, 0, 0, 0, time.UTC),
		Customer: "Żółty Słoń, Straße é", Address: "1 Mill Lane\nLeeds", Email: "office@elephant.example",
		Items: []jobs.Item{{Quantity: 2, Text: "Web hosting", Price: 1990}, {Quantity: 1, Text: "Domain", Price: 1200}},
		Total: 5180, Currency: "EUR",
	}
}

func testService(m Mailer) *Service {
	return &Service{Seller: testSeller, Renderer: PDF{testSeller}, Mailer: m, Now: func() time.Time { return time.Unix(1_800_000_000, 0) }}
}

func openOutbox(t *testing.T) (*Outbox, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "outbox")
	o, err := OpenOutbox(dir)
	if err != nil {
		t.Fatal(err)
	}
	return o, dir
}

// parsed is a mail as its reader's program sees it.
type parsed struct {
	header     mail.Header
	body       string
	attachment []byte
	filename   string
}

func parse(t *testing.T, data []byte) parsed {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	p := parsed{header: m.Header}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/mixed" {
		t.Fatalf("content type %q, %v", kind, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return p
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		if part.FileName() == "" {
			p.body = string(content) // quoted-printable is undone by the reader
			continue
		}
		p.filename = part.FileName()
		if p.attachment, err = base64.StdEncoding.DecodeString(strings.ReplaceAll(string(content), "\r\n", "")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSendInvoiceLeavesAMailWithThePDFInTheOutbox(t *testing.T) {
	outbox, dir := openOutbox(t)
	receipt, err := testService(outbox).SendInvoice(t.Context(), testInvoice())
	if err != nil {
		t.Fatal(err)
	}
	contents, err := outbox.List()
	if err != nil || len(contents.Mails) != 1 {
		t.Fatalf("outbox holds %+v, %v", contents, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, contents.Mails[0].String()+".eml"))
	if err != nil {
		t.Fatal(err)
	}
	p := parse(t, data)
	to, err := p.header.AddressList("To")
	if err != nil || len(to) != 1 || to[0].Address != "office@elephant.example" || to[0].Name != "Żółty Słoń, Straße é" {
		t.Errorf("to %v, %v", to, err)
	}
	if got := p.header.Get("Message-ID"); got != receipt.MessageID && got != "<"+receipt.MessageID+">" {
		t.Errorf("message id %q, receipt says %q", got, receipt.MessageID)
	}
	if p.header.Get("Subject") != "Invoice 100017: EUR 51.80" {
		t.Errorf("subject %q", p.header.Get("Subject"))
	}
	if !strings.Contains(p.body, "Dear Żółty Słoń, Straße é") {
		t.Errorf("body %q", p.body)
	}
	if p.filename != "invoice-100017.pdf" || !bytes.HasPrefix(p.attachment, []byte("%PDF-")) || !bytes.Contains(p.attachment, []byte("%%EOF")) {
		t.Errorf("attachment %q of %d bytes is no PDF", p.filename, len(p.attachment))
	}
}

func TestSendInvoiceRefusesWhatNoRetryMends(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*jobs.SendInvoice)
		want   error
		text   string
	}{
		{"no name", func(a *jobs.SendInvoice) { a.Customer = "" }, ErrBadInvoice, "no name"},
		{"no items", func(a *jobs.SendInvoice) { a.Items = nil }, ErrBadInvoice, "no items"},
		{"zero", func(a *jobs.SendInvoice) { a.Items = []jobs.Item{{Quantity: 1, Text: "Trial"}}; a.Total = 0 }, ErrBadInvoice, "zero"},
		{"negative", func(a *jobs.SendInvoice) {
			a.Items = []jobs.Item{{Quantity: 1, Text: "Refund", Price: -4900}}
			a.Total = -4900
		}, ErrBadInvoice, "negative (-49.00)"},
		{"wrong sum", func(a *jobs.SendInvoice) { a.Total++ }, ErrBadInvoice, "total 51.81, but the items make 51.80"},
		{"missing glyph", func(a *jobs.SendInvoice) { a.Customer = "漢字" }, ErrBadInvoice, "'漢' (U+6F22)"},
		{"no address", func(a *jobs.SendInvoice) { a.Email = "" }, ErrBadAddress, "none given"},
		{"no at", func(a *jobs.SendInvoice) { a.Email = "office.example" }, ErrBadAddress, "no @"},
		{"two addresses", func(a *jobs.SendInvoice) { a.Email = "a@x.example, b@x.example" }, ErrBadAddress, "name@domain"},
		{"local host", func(a *jobs.SendInvoice) { a.Email = "root@localhost" }, ErrBadAddress, "no dot"},
	} {
		t.Run(c.name, func(t *testing.T) {
			outbox, _ := openOutbox(t)
			a := testInvoice()
			c.change(&a)
			_, err := testService(outbox).SendInvoice(t.Context(), a)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, want %v with %q", err, c.want, c.text)
			}
			if a.Email != "" && strings.Contains(err.Error(), a.Email) {
				t.Errorf("error %q gives the address away", err)
			}
			if contents, _ := outbox.List(); len(contents.Mails) != 0 {
				t.Errorf("outbox holds %v", contents.Mails)
			}
		})
	}
}

func TestAmountPrintsHundredths(t *testing.T) {
	for cents, want := range map[int64]string{0: "0.00", 5: "0.05", 123: "1.23", 100000: "1,000.00", 123456789: "1,234,567.89", -4900: "-49.00", -1 << 63: "-92,233,720,368,547,758.08"} {
		if got := Amount(cents).String(); got != want {
			t.Errorf("Amount(%d) = %s, want %s", cents, got, want)
		}
	}
}

func TestDeliveryNamesAreReadBack(t *testing.T) {
	name := DeliveryName{InvoiceID: 100017, Key: "9f3c1a2b", Token: 12}
	if got, err := ParseDeliveryName(name.String()); err != nil || got != name {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "refused", "1-2-3", "x-9f3c1a2b-1", "1-9f3c1a2b-x", "1-9f3c1a2b-1-1"} {
		if got, err := ParseDeliveryName(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, got)
		}
	}
}

func TestOutboxListsWholeMailsOnly(t *testing.T) {
	outbox, dir := openOutbox(t)
	if _, err := testService(outbox).SendInvoice(t.Context(), testInvoice()); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{
		"1-9f3c1a2b-1.part": "half", "2-9f3c1a2b-1.sending": "in doubt", "3-9f3c1a2b-1.eml": "X-Invoice: 4\r\n\r\n", "refused.csv": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := outbox.Sweep(); err != nil {
		t.Fatal(err)
	}
	got, err := outbox.List()
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Mails) != 1 || len(got.InDoubt) != 1 || len(got.Damaged) != 1 || got.Damaged[0] != "3-9f3c1a2b-1.eml" {
		t.Errorf("outbox holds %+v", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "1-9f3c1a2b-1.part")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("sweep left the half mail: %v", err)
	}
}

func TestOutboxDeliversNothingAfterItsContext(t *testing.T) {
	outbox, _ := openOutbox(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("timed out")
	cancel(why)
	if _, err := testService(outbox).SendInvoice(ctx, testInvoice()); !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
}

func TestFlakyFailsTheSameShareEveryTime(t *testing.T) {
	failures := func(seed uint64) (n int) {
		f := Flaky{Mailer: nothing{}, Share: 0.2, Seed: seed}
		for token := range int64(5) {
			for invoice := range int64(1000) {
				if err := f.Send(t.Context(), &Mail{Name: DeliveryName{invoice, "9f3c1a2b", token}}); err != nil {
					n++
				}
			}
		}
		return n
	}
	if a, b := failures(1), failures(1); a != b || a < 900 || a > 1100 {
		t.Errorf("%d and %d of 5000 failed, want the same and about 1000", a, b)
	}
}

func TestFlakyLetsARetryThrough(t *testing.T) {
	f := Flaky{Mailer: nothing{}, Share: 0.5, Seed: 3}
	stuck := 0
	for invoice := range int64(1000) {
		if f.Send(t.Context(), &Mail{Name: DeliveryName{invoice, "9f3c1a2b", 1}}) != nil &&
			f.Send(t.Context(), &Mail{Name: DeliveryName{invoice, "9f3c1a2b", 2}}) != nil {
			stuck++
		}
	}
	if stuck < 200 || stuck > 300 {
		t.Errorf("%d of 1000 failed twice, want about 250: the attempts depend on each other", stuck)
	}
}

type nothing struct{}

func (nothing) Send(context.Context, *Mail) error { return nil }
