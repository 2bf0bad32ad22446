package jobrt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

const exportKind, exportArgs = "billing/invoice.Send", `{"email":"ann@example.org","id":1}`

// exportStore has n ready jobs of a kind with a secret.
func exportStore(t *testing.T, n int) (*jobtest.Memory, *jobrt.Operator) {
	t.Helper()
	m := jobtest.NewMemory()
	if err := m.Sync(t.Context(), jobrt.Catalog{Service: "billing", Kinds: []jobrt.KindInfo{{Kind: exportKind, Queue: "q", Secrets: []string{".email"}}}}); err != nil {
		t.Fatal(err)
	}
	for range n {
		if _, err := m.Insert(t.Context(), nil, []jobrt.NewJob{{
			ID: jobrt.NewID(), Service: "billing", Kind: exportKind, Queue: "q", Priority: 5, Args: []byte(exportArgs), Timeout: time.Minute,
		}}); err != nil {
			t.Fatal(err)
		}
	}
	op, err := jobrt.NewOperator(m, jobrt.Actor{Name: "ann", Reason: "move"})
	if err != nil {
		t.Fatal(err)
	}
	return m, op
}

func exportAll(t *testing.T, op *jobrt.Operator, e jobrt.Export) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := op.Export(t.Context(), &out, e); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestExportLeavesOutSecretsUnlessThereIsAReason(t *testing.T) {
	m, op := exportStore(t, 1)
	plain := exportAll(t, op, jobrt.Export{})
	if strings.Contains(plain, "ann@") || !strings.Contains(plain, `"[secret]"`) || !strings.Contains(plain, `"redacted":true`) {
		t.Errorf("without secrets:\n%s", plain)
	}
	if entries, _ := m.Audit(t.Context(), jobrt.AuditFilter{}); len(entries) != 0 {
		t.Errorf("an export without secrets is in the audit: %+v", entries)
	}
	silent, err := jobrt.NewOperator(m, jobrt.Actor{Name: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := silent.Export(t.Context(), &out, jobrt.Export{Secrets: true}); err == nil || out.Len() != 0 {
		t.Errorf("secrets without a reason: %v\n%s", err, out.String())
	}
	if full := exportAll(t, op, jobrt.Export{Secrets: true}); !strings.Contains(full, exportArgs) {
		t.Errorf("with secrets:\n%s", full)
	}
	if entries, _ := m.Audit(t.Context(), jobrt.AuditFilter{Action: "export secrets"}); len(entries) != 1 || entries[0].Reason != "move" {
		t.Errorf("audit: %+v", entries)
	}
	// A kind that the catalogue does not know may have any secret.
	if _, err := m.Insert(t.Context(), nil, []jobrt.NewJob{{ID: jobrt.NewID(), Service: "x", Kind: "x/gone", Queue: "q", Priority: 5, Args: []byte(exportArgs)}}); err != nil {
		t.Fatal(err)
	}
	if gone := exportAll(t, op, jobrt.Export{Filter: jobrt.Filter{Kind: "x/gone"}}); strings.Contains(gone, "ann@") {
		t.Errorf("unknown kind:\n%s", gone)
	}
}

// brokenWriter fails after some bytes.
type brokenWriter struct {
	w    io.Writer
	left int
}

func (b *brokenWriter) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errors.New("disk full")
	}
	return b.w.Write(p)
}

func TestAnExportThatBrokeOffGoesOnAndIsImportedOnce(t *testing.T) {
	_, from := exportStore(t, 250)
	var out bytes.Buffer
	first, err := from.Export(t.Context(), &brokenWriter{&out, 60_000}, jobrt.Export{Secrets: true})
	if err == nil || first.Jobs == 0 || first.Jobs >= 250 {
		t.Fatalf("export to a full disk: %+v, %v", first, err)
	}
	rest, err := from.Export(t.Context(), &out, jobrt.Export{Secrets: true, Filter: jobrt.Filter{Before: first.Last}})
	if err != nil || first.Jobs+rest.Jobs != 250 {
		t.Fatalf("the rest: %+v after %+v, %v", rest, first, err)
	}
	m, to := exportStore(t, 0)
	for _, want := range []jobrt.ImportReport{{Stored: 250}, {Known: 250}} {
		report, err := to.Import(t.Context(), bytes.NewReader(out.Bytes()), jobrt.Import{})
		if err != nil || fmt.Sprint(report) != fmt.Sprint(want) {
			t.Fatalf("import: %+v, %v; want %+v", report, err, want)
		}
	}
	jobs, err := m.Jobs(t.Context(), jobrt.Filter{Limit: 1})
	if err != nil || string(jobs[0].Args) != exportArgs || jobs[0].Timeout != time.Minute {
		t.Errorf("imported: %+v, %v", jobs, err)
	}
	// A file that ends in the middle of a line gives what is before it.
	_, to = exportStore(t, 0)
	cut := out.Bytes()[:out.Len()-20]
	if report, err := to.Import(t.Context(), bytes.NewReader(cut), jobrt.Import{}); err == nil || report.Stored != 249 {
		t.Errorf("a file that is cut off: %+v, %v", report, err)
	}
}

func TestImportRefusesWhatIsNotItsOwn(t *testing.T) {
	m, op := exportStore(t, 1)
	plain, full := exportAll(t, op, jobrt.Export{}), exportAll(t, op, jobrt.Export{Secrets: true})
	jobs, err := m.Jobs(t.Context(), jobrt.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	head, line, _ := strings.Cut(full, "\n")
	for name, c := range map[string]struct {
		text, why string
		foreign   bool
		want      jobrt.ImportReport
	}{
		"redacted":          {text: plain, why: "secrets were left out", foreign: true},
		"another's kind":    {text: strings.Replace(full, `"service":"billing"`, `"service":"shop"`, 1), why: `it is of service "shop"`},
		"unknown kind":      {text: strings.Replace(full, exportKind, "a/b", 1), why: "no service of this database"},
		"ended":             {text: strings.Replace(full, `"ready"`, `"succeeded"`, 1), why: "only ready, scheduled and dead"},
		"poisoned":          {text: head + "\n" + strings.Replace(line, `"priority":5`, `"priority":55`, 1), why: "priority"},
		"told to take it":   {text: strings.Replace(full, `"service":"billing"`, `"service":"shop"`, 1), foreign: true},
		"two heads, spaces": {text: head + "\n\n" + full},
	} {
		_, to := exportStore(t, 0)
		report, err := to.Import(t.Context(), strings.NewReader(c.text), jobrt.Import{Foreign: c.foreign})
		switch {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case c.why == "" && (report.Stored != 1 || report.Refused != 0):
			t.Errorf("%s: %+v", name, report)
		case c.why != "" && (report.Refused != 1 || len(report.Refusals) != 1 || report.Refusals[0].ID != jobs[0].ID ||
			!strings.Contains(report.Refusals[0].Why, c.why)):
			t.Errorf("%s: %+v, want %q", name, report, c.why)
		}
	}
	for name, text := range map[string]string{
		"nothing": "", "no head": line, "another version": `{"jobgen":"jobs","version":2}`, "another format": `{"jobgen":"cars","version":1}`,
		"no JSON": head + "\nhello\n",
	} {
		if report, err := op.Import(t.Context(), strings.NewReader(text), jobrt.Import{}); err == nil {
			t.Errorf("%s: %+v, want an error", name, report)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := op.Import(ctx, strings.NewReader(full), jobrt.Import{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled import: %v", err)
	}
}
