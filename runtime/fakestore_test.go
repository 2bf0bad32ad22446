package jobrt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/runtime/jobjson"
)

// fakeStore records what a client sends. Its functions decide the answers; without them everything succeeds. Methods
// that a client does not call panic.
type fakeStore struct {
	Store
	insert func(ctx context.Context, tx Tx, batch []NewJob) ([]Inserted, error)
	notify func(ctx context.Context, queues []string) error
	job    func(ctx context.Context, id ID) (JobInfo, error)
	finish func(ctx context.Context, tx Tx, batch []Finish) ([]FinishResult, error)
	// insertGraph answers InsertGraph; without it insert does, for the jobs.
	insertGraph func(ctx context.Context, tx Tx, batches []NewBatch, jobs []NewJob) ([]Inserted, error)
	batch       func(ctx context.Context, id ID) (BatchInfo, error)
	cancel      func(ctx context.Context, a Actor, id ID) error

	mu       sync.Mutex
	sent     [][]NewJob // every batch sent
	accepted []NewJob   // what Insert said yes to
	notified [][]string
	graphs   []sentGraph // every call of InsertGraph
}

// sentGraph is one call of InsertGraph.
type sentGraph struct {
	Tx      Tx
	Batches []NewBatch
	Jobs    []NewJob
}

func (s *fakeStore) Insert(ctx context.Context, tx Tx, batch []NewJob) ([]Inserted, error) {
	batch = slices.Clone(batch) // the caller may set Resend later
	s.mu.Lock()
	s.sent = append(s.sent, batch)
	s.mu.Unlock()
	out, err := accept(batch), error(nil)
	if s.insert != nil {
		out, err = s.insert(ctx, tx, batch)
	}
	if err == nil {
		s.mu.Lock()
		s.accepted = append(s.accepted, batch...)
		s.mu.Unlock()
	}
	return out, err
}

func (s *fakeStore) InsertGraph(ctx context.Context, tx Tx, batches []NewBatch, jobs []NewJob) ([]Inserted, error) {
	s.mu.Lock()
	s.graphs = append(s.graphs, sentGraph{tx, slices.Clone(batches), slices.Clone(jobs)})
	s.mu.Unlock()
	if s.insertGraph != nil {
		return s.insertGraph(ctx, tx, batches, jobs)
	}
	if s.insert != nil {
		return s.insert(ctx, tx, jobs)
	}
	return accept(jobs), nil
}

func (s *fakeStore) Batch(ctx context.Context, id ID) (BatchInfo, error) { return s.batch(ctx, id) }

func (s *fakeStore) CancelBatch(ctx context.Context, a Actor, id ID) error {
	return s.cancel(ctx, a, id)
}

func (s *fakeStore) sentGraphs() []sentGraph {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.graphs)
}

// onlyGraph returns the one graph that was sent.
func (s *fakeStore) onlyGraph(t *testing.T) sentGraph {
	t.Helper()
	g := s.sentGraphs()
	if len(g) != 1 || len(s.batches()) != 0 {
		t.Fatalf("%d graphs and batches of %v jobs were sent, want one graph", len(g), s.sizes())
	}
	return g[0]
}

// accept is the answer of a store that has stored all of batch.
func accept(batch []NewJob) []Inserted {
	out := make([]Inserted, len(batch))
	for i, j := range batch {
		out[i].ID = j.ID
	}
	return out
}

func (s *fakeStore) Notify(ctx context.Context, queues []string) error {
	s.mu.Lock()
	s.notified = append(s.notified, slices.Clone(queues))
	s.mu.Unlock()
	if s.notify != nil {
		return s.notify(ctx, queues)
	}
	return nil
}

func (s *fakeStore) Job(ctx context.Context, id ID) (JobInfo, error) { return s.job(ctx, id) }

func (s *fakeStore) Finish(ctx context.Context, tx Tx, batch []Finish) ([]FinishResult, error) {
	return s.finish(ctx, tx, batch)
}

func (s *fakeStore) batches() [][]NewJob {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

func (s *fakeStore) stored() []NewJob {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.accepted)
}

func (s *fakeStore) told() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.notified)
}

// sizes returns the number of jobs of each batch sent.
func (s *fakeStore) sizes() []int {
	var sizes []int
	for _, b := range s.batches() {
		sizes = append(sizes, len(b))
	}
	return sizes
}

// only returns the one job that was sent.
func (s *fakeStore) only(t *testing.T) NewJob {
	t.Helper()
	b := s.batches()
	if len(b) != 1 || len(b[0]) != 1 {
		t.Fatalf("sent batches of %v jobs, want one job", s.sizes())
	}
	return b[0][0]
}

func newTestClient(t testing.TB, s Store) *Client {
	t.Helper()
	c, err := NewClient(s, ClientConfig{Build: "v1", Host: "host-a"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// order and receipt are the argument and result of the tests' jobs.
type order struct {
	N     int     `json:"n"`
	Text  string  `json:"text,omitempty"`
	Price float64 `json:"price,omitempty"`
}

type receipt struct {
	MessageID string `json:"message_id"`
}

func jsonCodec[T any](check func(*T) error) Codec[T] {
	return Codec[T]{
		Append: func(dst []byte, v *T) ([]byte, error) {
			if err := check(v); err != nil {
				return nil, err
			}
			data, err := json.Marshal(v)
			return append(dst, data...), err
		},
		Decode: func(data []byte, v *T) error { return json.Unmarshal(data, v) },
		Schema: "0123456789abcdef",
	}
}

func checkOrder(o *order) error {
	switch {
	case math.IsNaN(o.Price):
		return jobjson.At(jobjson.ErrNotANumber, ".price")
	case o.Text == "!utf8":
		return jobjson.At(jobjson.ErrInvalidUTF8, ".text")
	case o.Text == "!nul":
		return jobjson.At(jobjson.ErrNUL, ".text")
	case o.Text == "!other":
		return errors.New("out of ink")
	}
	return nil
}

// sendJob is a job like those that generated code describes.
func sendJob() *Job[order, receipt] {
	s := DefaultSettings()
	s.Queue, s.Priority, s.MaxRetries, s.Tags = "billing", 4, 3, []string{"mail"}
	return &Job[order, receipt]{
		Service: "shop", Kind: "shop/billing.Send", Aliases: []string{"shop/mail.Send"}, Settings: s,
		Args:   jsonCodec(checkOrder),
		Result: jsonCodec(func(*receipt) error { return nil }),
	}
}

// uniqueJob is sendJob with unique=N.
func uniqueJob() *Job[order, receipt] {
	j := sendJob()
	j.UniqueKey = func(dst []byte, o *order) ([]byte, error) {
		if o.N < 0 {
			return nil, jobjson.At(jobjson.ErrNUL, ".n")
		}
		return fmt.Append(dst, o.N), nil
	}
	return j
}

// inHandler returns the context of a running attempt of the job id.
func inHandler(id ID, c *Client) context.Context {
	return withAttempt(context.Background(), &attempt{info: Running{ID: id, Kind: "shop/billing.Parent", Attempt: 1}, client: c})
}

// handlerContext is inHandler with c as the client.
func handlerContext(id ID, c *Client) context.Context { return WithClient(inHandler(id, c), c) }

// fakeTx is a caller's transaction.
type fakeTx struct {
	blind    bool // cannot tell of its commit
	onCommit []func()
}

func (tx *fakeTx) OnCommit(f func()) bool {
	if !tx.blind {
		tx.onCommit = append(tx.onCommit, f)
	}
	return !tx.blind
}

// bubble runs a test with a fake clock. In the end it gives every goroutine a minute to end by itself; one that stays
// fails the test.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t)
		time.Sleep(time.Minute)
	})
}
