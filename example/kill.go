package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/uptrace/bun"

	"github.com/jobgen/jobgen/example/jobs"
	"github.com/jobgen/jobgen/example/jobs/billing"
	jobrt "github.com/jobgen/jobgen/runtime"
	bunstore "github.com/jobgen/jobgen/store/bun"
)

// The points at which -kill can end the process. Nothing else in the example knows of them: each is a wrapper around a
// part, put there when asked for.
const (
	afterEnqueue         = "after-enqueue"           // the month's jobs are stored, the one that did so doesn't know yet
	midRender            = "mid-render"              // the PDF is half written
	betweenMailAndFinish = "between-mail-and-finish" // the mail is out, its job doesn't know yet
	midFinish            = "mid-finish"              // the end of the job is written, but not committed
	afterFinish          = "after-finish"            // it is committed, but this process hasn't heard of it
)

var killPoints = []string{afterEnqueue, midRender, betweenMailAndFinish, midFinish, afterFinish}

// killer kills the process at one point. The zero killer never does.
type killer struct {
	point string
	at    int64
	count atomic.Int64
	say   sync.Once
}

// pass notes that n invoices pass a point, and kills when it is their turn.
func (k *killer) pass(point string, n int) {
	if k.strikes(point, n) {
		k.strike()
	}
}

func (k *killer) strikes(point string, n int) bool {
	return k.point == point && k.count.Add(int64(n)) >= k.at
}

// strike is kill -9: no deferred function runs, nothing is flushed.
func (k *killer) strike() {
	k.say.Do(func() { fmt.Fprintf(os.Stderr, "\nexample: kill -9 to myself: %s\n", k.point) })
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
	select {} // until the signal has come
}

type killRenderer struct {
	billing.Renderer
	*killer
}

func (r killRenderer) Render(w io.Writer, a jobs.SendInvoice) error {
	return r.Renderer.Render(killWriter{w, r.killer}, a)
}

// killWriter strikes after half of the bytes.
type killWriter struct {
	io.Writer
	*killer
}

func (w killWriter) Write(p []byte) (int, error) {
	if w.strikes(midRender, 1) {
		_, _ = w.Writer.Write(p[:len(p)/2])
		w.strike()
	}
	return w.Writer.Write(p)
}

type killMailer struct {
	billing.Mailer
	*killer
}

func (m killMailer) Send(ctx context.Context, mail *billing.Mail) error {
	err := m.Mailer.Send(ctx, mail)
	if err == nil {
		m.pass(betweenMailAndFinish, 1)
	}
	return err
}

type killStore struct {
	jobrt.Store
	*killer
	bun *bunstore.Store
}

func (s killStore) InsertGraph(ctx context.Context, tx jobrt.Tx, batches []jobrt.NewBatch, jobs []jobrt.NewJob) ([]jobrt.Inserted, error) {
	stored, err := s.Store.InsertGraph(ctx, tx, batches, jobs)
	if err == nil {
		s.pass(afterEnqueue, len(jobs))
	}
	return stored, err
}

func (s killStore) Finish(ctx context.Context, tx jobrt.Tx, batch []jobrt.Finish) ([]jobrt.FinishResult, error) {
	if s.strikes(midFinish, len(batch)) {
		err := bunstore.RunInTx(ctx, s.bun, func(ctx context.Context, _ bun.Tx) error {
			_, err := s.Store.Finish(ctx, jobrt.TxFrom(ctx), batch)
			if err == nil {
				s.strike()
			}
			return err
		})
		return nil, err
	}
	results, err := s.Store.Finish(ctx, tx, batch)
	if err == nil {
		s.pass(afterFinish, len(batch))
	}
	return results, err
}
