package jobrt

import (
	"context"
	"testing"
)

// nullStore stores nothing, at once: what remains is the client's own work.
type nullStore struct{ Store }

func (nullStore) Insert(_ context.Context, _ Tx, batch []NewJob) ([]Inserted, error) {
	return accept(batch), nil
}

func (nullStore) Notify(context.Context, []string) error { return nil }

// BenchmarkEnqueueOverhead measures what a client costs on top of its store.
func BenchmarkEnqueueOverhead(b *testing.B) {
	c := newTestClient(b, nullStore{})
	job, tx := sendJob(), &fakeTx{blind: true}
	b.Run("gathered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Enqueue(b.Context(), c, job, order{N: 1}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("in a transaction", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Enqueue(b.Context(), c, job, order{N: 1}, InTx(tx)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("1000 at once", func(b *testing.B) {
		b.ReportAllocs()
		args := make([]order, 1000)
		for b.Loop() {
			if _, err := EnqueueMany(b.Context(), c, job, args, InTx(tx)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
