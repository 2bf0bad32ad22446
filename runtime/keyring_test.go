package jobrt_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// keys returns a keyring of keys with the given ids, the first of which is current.
func keys(ids ...string) *jobrt.Keyring {
	k := &jobrt.Keyring{Keys: make(map[string][]byte)}
	for _, id := range ids {
		if k.Current == "" {
			k.Current = id
		}
		k.Keys[id] = bytes.Repeat([]byte(id[:1]), 32)
	}
	return k
}

// sealedStore fails the test when anything that it is given quotes a secret.
type sealedStore struct {
	jobrt.Store
	t      *testing.T
	secret string
	seen   int // values that were encrypted
}

func (s *sealedStore) check(what string, values ...[]byte) {
	s.t.Helper()
	for _, v := range values {
		if strings.Contains(string(v), s.secret) {
			s.t.Errorf("%s shows the secret: %s", what, v)
		}
		if len(v) > 0 && !json.Valid(v) {
			s.t.Errorf("%s is not JSON: %s", what, v)
		}
		if strings.Contains(string(v), "jobgen.enc") {
			s.seen++
		}
	}
}

func (s *sealedStore) Insert(ctx context.Context, tx jobrt.Tx, jobs []jobrt.NewJob) ([]jobrt.Inserted, error) {
	for _, j := range jobs {
		s.check("insert of "+j.Kind, j.Args)
	}
	return s.Store.Insert(ctx, tx, jobs)
}

func (s *sealedStore) InsertGraph(ctx context.Context, tx jobrt.Tx, batches []jobrt.NewBatch, jobs []jobrt.NewJob) ([]jobrt.Inserted, error) {
	for _, j := range jobs {
		s.check("graph with "+j.Kind, j.Args)
	}
	return s.Store.InsertGraph(ctx, tx, batches, jobs)
}

func (s *sealedStore) Finish(ctx context.Context, tx jobrt.Tx, batch []jobrt.Finish) ([]jobrt.FinishResult, error) {
	for _, f := range batch {
		s.check("finish", f.Result)
		if f.Effect != nil {
			s.check("effect", f.Effect.Result)
		}
	}
	return s.Store.Finish(ctx, tx, batch)
}

func (s *sealedStore) Intend(ctx context.Context, tx jobrt.Tx, i jobrt.Intent) (jobrt.Effect, error) {
	s.check("label", fmt.Appendf(nil, "%q", i.Label))
	return s.Store.Intend(ctx, tx, i)
}

func (s *sealedStore) SettleEffect(ctx context.Context, ref jobrt.Ref, end jobrt.EffectEnd) error {
	s.check("settled effect", end.Result)
	return s.Store.SettleEffect(ctx, ref, end)
}

func (s *sealedStore) SaveStep(ctx context.Context, ref jobrt.Ref, name string, result []byte) error {
	s.check("step", result)
	return s.Store.SaveStep(ctx, ref, name, result)
}

func TestNothingThatIsEncryptedReachesTheStoreInTheClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const secret = "tulips"
		store := &sealedStore{Store: jobtest.NewMemory(), t: t, secret: secret}
		b := newBench(t, store)
		client, err := jobrt.NewClient(store, jobrt.ClientConfig{Encryption: keys("2026-11")})
		if err != nil {
			t.Fatal(err)
		}
		b.client, b.ctx = client, jobrt.WithClient(t.Context(), client)

		first, second := newJob("First", retries(1)), newJob("Second")
		first.Result = jobrt.Codec[done]{Schema: "00000000000000b1",
			Append: func(dst []byte, v *done) ([]byte, error) {
				return fmt.Appendf(dst, `{"sum":%d,"note":%q}`, v.Sum, secret), nil
			},
			Decode: func(data []byte, v *done) error { return json.Unmarshal(data, v) }}
		first.OnceKey = func(dst []byte, a *work) ([]byte, error) { return append(dst, a.Text...), nil }
		second.Parents = []jobrt.ParentType{jobrt.ParentOf(first.Result)}
		runs, steps := 0, 0
		handle(b, first, func(ctx context.Context, a work) (done, error) {
			runs++
			if a.Text != secret {
				t.Errorf("arguments %+v", a)
			}
			once, err := jobrt.Once(ctx, secret, func(context.Context) (string, error) { return secret, nil })
			if once != secret || err != nil {
				t.Errorf("Once = %q, %v", once, err)
			}
			step, err := jobrt.Step(ctx, "s", func(context.Context) (string, error) { steps++; return secret, nil })
			if step != secret || err != nil {
				t.Errorf("Step = %q, %v", step, err)
			}
			if runs == 1 {
				return done{}, errors.New("again")
			}
			return done{Sum: a.N}, nil
		})
		err = jobrt.RegisterAfter(b.reg, second, func(_ context.Context, a work, in *jobrt.Inputs) (done, error) {
			return done{Sum: a.N + jobrt.InputValue[done](in, 0).Sum}, in.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
		stop := b.run(jobrt.PoolConfig{})
		var sum jobrt.Handle[done]
		err = client.Graph(b.ctx, func(ctx context.Context) error {
			h, err := jobrt.Enqueue(ctx, nil, first, work{N: 40, Text: secret})
			if err != nil {
				return err
			}
			sum, err = jobrt.Enqueue(ctx, nil, second, work{N: 2, Text: secret}, jobrt.Takes(0, jobrt.IfSucceeded, h), jobrt.KeepResult())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.await(sum)
		if err != nil || got.Sum != 42 || runs != 2 || steps != 1 {
			t.Errorf("result %v, %v after %d runs and %d of the step; want 42", got, err, runs, steps)
		}
		again, err := b.await(b.enqueue(first, work{N: 1, Text: secret}, jobrt.KeepResult())) // from the ledger
		if err != nil || again.Sum != 40 || runs != 2 {
			t.Errorf("result of the ledger %v, %v after %d runs; want 40", again, err, runs)
		}
		mustStop(t, stop)
		if store.seen < 7 {
			t.Errorf("%d encrypted values reached the store", store.seen)
		}

		row, err := store.Job(t.Context(), sum.ID())
		if err != nil {
			t.Fatal(err)
		}
		shown, err := jobrt.KindInfo{}.RedactArgs(row.Args)
		if err != nil || string(shown) != `"[encrypted, key 2026-11]"` {
			t.Errorf("an operator sees %s, %v", shown, err)
		}
		if info := b.info(sum.ID()); string(info.Args) != `{"n":2,"text":"tulips"}` || string(info.Result) != `{"sum":42}` {
			t.Errorf("the client sees %s and %s", info.Args, info.Result)
		}
	})
}

func TestAKeyIsRotatedBetweenTheAttemptsOfAJob(t *testing.T) {
	for name, tc := range map[string]struct{ before, after *jobrt.Keyring }{
		"to another key":   {keys("old"), keys("new", "old")},
		"encryption is on": {nil, keys("new")},
		"and off":          {keys("old"), &jobrt.Keyring{Keys: keys("old").Keys}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := jobtest.NewMemory()
				b := newBench(t, store)
				parent, child := newJob("Parent", retries(1)), newJob("Child")
				var ids []jobrt.ID
				handle(b, parent, func(ctx context.Context, a work) (done, error) {
					h, err := jobrt.Enqueue(ctx, nil, child, work{N: 7, Text: "same"})
					if err != nil {
						return done{}, jobrt.Permanent(err)
					}
					if ids = append(ids, h.ID()); len(ids) == 1 {
						return done{}, errors.New("again")
					}
					return done{Sum: a.N}, nil
				})
				children := 0
				handle(b, child, func(_ context.Context, a work) (done, error) { children += a.N; return done{}, nil })
				var h jobrt.Handle[done]
				for i, k := range []*jobrt.Keyring{tc.before, tc.after} {
					client, err := jobrt.NewClient(store, jobrt.ClientConfig{Encryption: k})
					if err != nil {
						t.Fatal(err)
					}
					b.client, b.ctx = client, jobrt.WithClient(t.Context(), client)
					if i == 0 {
						h = b.enqueue(parent, work{N: 1}, jobrt.KeepResult())
					}
					stop := b.run(jobrt.PoolConfig{})
					time.Sleep(time.Duration(i*20+1) * time.Second) // bubble time: the retry is after the change
					mustStop(t, stop)
				}
				if info := b.info(h.ID()); info.State != jobrt.StateSucceeded || len(ids) != 2 || ids[0] != ids[1] || children != 7 {
					t.Errorf("parent %s (%s), children %v did %d; want one child by both attempts", info.State, info.Error, ids, children)
				}
			})
		})
	}
}

func TestARowUnderAnEarlierNameIsEncryptedAndReadAsTheKindIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const secret = "tulips"
		store := &sealedStore{Store: jobtest.NewMemory(), t: t, secret: secret}
		build := func(kind string) (*bench, *jobrt.Job[work, done]) {
			ring := keys("2026-11")
			ring.Kinds = []string{"svc/test." + kind}
			client, err := jobrt.NewClient(store, jobrt.ClientConfig{Encryption: ring})
			if err != nil {
				t.Fatal(err)
			}
			b := newBench(t, store)
			b.client, b.ctx = client, jobrt.WithClient(t.Context(), client)
			return b, newJob(kind, retries(3))
		}
		steps := 0
		handler := func(ctx context.Context, a work) (done, error) {
			for _, name := range []string{"one", "two"} {
				_, err := jobrt.Step(ctx, name, func(context.Context) (string, error) { steps++; return secret, nil })
				if err != nil {
					return done{}, err
				}
				if name == "one" && a.N == 1 {
					return done{}, jobrt.Snooze(time.Hour)
				}
			}
			return done{}, nil
		}
		before, old := build("Old")
		handle(before, old, handler)
		h := before.enqueue(old, work{N: 1, Text: secret})
		stop := before.run(jobrt.PoolConfig{})
		time.Sleep(time.Second)
		mustStop(t, stop)

		after, renamed := build("New")
		renamed.Aliases = []string{old.Kind}
		handle(after, renamed, handler)
		err := jobrt.EditArgs(t.Context(), after.client, jobrt.Actor{Name: "ann"}, renamed, h.ID(), func(a *work) error { a.N = 2; return nil })
		if err != nil {
			t.Fatal(err)
		}
		if row, err := store.Job(t.Context(), h.ID()); err != nil {
			t.Fatal(err)
		} else {
			store.check("edited arguments", row.Args)
		}
		stop = after.run(jobrt.PoolConfig{})
		time.Sleep(2 * time.Hour)
		mustStop(t, stop)
		if info := after.info(h.ID()); info.State != jobrt.StateSucceeded || steps != 2 {
			t.Errorf("job is %s (%s) after %d steps, want two: %s", info.State, info.Reason, steps, info.Error)
		}
	})
}

func TestARowWhoseKeyIsMissingWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jobtest.NewMemory()
		job := newJob("Locked", retries(0))
		var h jobrt.Handle[done]
		for i, k := range []*jobrt.Keyring{keys("old"), keys("new"), keys("new"), nil, keys("new", "old")} {
			b := newBench(t, store)
			client, err := jobrt.NewClient(store, jobrt.ClientConfig{Encryption: k})
			if err != nil {
				t.Fatal(err)
			}
			b.client, b.ctx = client, jobrt.WithClient(t.Context(), client)
			runs := 0
			handle(b, job, func(context.Context, work) (done, error) { runs++; return done{}, nil })
			if i == 0 {
				h = b.enqueue(job, work{N: 7})
				continue
			}
			before := b.info(h.ID()).LeaseSeq
			stop := b.run(jobrt.PoolConfig{})
			time.Sleep(time.Second) // bubble time
			mustStop(t, stop)
			info := b.info(h.ID())
			switch i {
			case 4:
				if info.State != jobrt.StateSucceeded || runs != 1 {
					t.Errorf("with its key the job is %s (%s)", info.State, info.Error)
				}
			default:
				if info.Reason != jobrt.DeadUndecodable || !strings.Contains(info.Error, `encrypted with key "old", which this process does not have`) || info.Attempt != 0 {
					t.Errorf("without its key the job is %s (%s: %s)", info.State, info.Reason, info.Error)
				}
				if i == 2 && info.LeaseSeq != before {
					t.Error("a process with the keys that did not do tries again")
				}
			}
		}
	})
}

func TestPreflightReadsEncryptedRowsWithTheKeysOfItsContext(t *testing.T) {
	ctx, env := jobtest.NewWith(t, jobrt.ClientConfig{Encryption: keys("a")})
	job := newJob("Locked")
	if _, err := jobrt.Enqueue(ctx, nil, job, work{N: 1}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		ctx context.Context
		ok  bool
	}{{ctx, true}, {t.Context(), false}} {
		report, err := jobrt.Preflight(tc.ctx, env.Store, job)
		if err != nil || report.OK() != tc.ok || !tc.ok && !strings.Contains(report.String(), `key "a"`) {
			t.Errorf("report: %v, %v; want ok %v", report, err, tc.ok)
		}
	}
}

func TestKeyringsAreChecked(t *testing.T) {
	for name, tc := range map[string]struct {
		ring *jobrt.Keyring
		want string
	}{
		"short key":      {&jobrt.Keyring{Keys: map[string][]byte{"a": make([]byte, 16)}}, "16 bytes, want 32"},
		"unknown key":    {&jobrt.Keyring{Current: "b", Keys: keys("a").Keys}, `Current names key "b"`},
		"unprintable id": {&jobrt.Keyring{Keys: map[string][]byte{"a\n": make([]byte, 32)}}, "printable"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := jobrt.NewClient(jobtest.NewMemory(), jobrt.ClientConfig{Encryption: tc.ring})
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "aaaa") {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
	ring := keys("a")
	ring.Kinds = []string{"svc/test.Locket", "other/x.Y"}
	b := newBench(t, nil)
	client, err := jobrt.NewClient(b.store, jobrt.ClientConfig{Encryption: ring})
	if err != nil {
		t.Fatal(err)
	}
	handle(b, newJob("Locked"), func(context.Context, work) (done, error) { return done{}, nil })
	if _, err := jobrt.NewPool(client, b.reg, jobrt.PoolConfig{}); err == nil || !strings.Contains(err.Error(), "svc/test.Locket") {
		t.Errorf("a kind that is not registered: %v", err)
	}
}

func TestAKeyringShowsNoKeyWhenItIsPrinted(t *testing.T) {
	ring := &jobrt.Keyring{Current: "2026-11", Keys: map[string][]byte{"2026-11": bytes.Repeat([]byte{0xA7}, 32)}}
	for _, v := range []any{ring, *ring, jobrt.ClientConfig{Encryption: ring}} {
		var text strings.Builder
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			fmt.Fprintf(&text, format+"\n", v)
		}
		slog.New(slog.NewTextHandler(&text, nil)).Info("made", "ring", v)
		slog.New(slog.NewJSONHandler(&text, nil)).Info("made", "ring", v)
		for _, key := range []string{"167 167", "167, 167", "p6en", "a7a7", "0xa7, 0xa7", `\xa7`} {
			if strings.Contains(text.String(), key) {
				t.Errorf("a key is shown as %q in %s", key, text.String())
			}
		}
	}
	if got := fmt.Sprint(ring); got != `keyring ["2026-11"], current "2026-11"` {
		t.Errorf("got %s", got)
	}
}

func TestErrorsOfHandlersDoNotQuoteSecrets(t *testing.T) {
	for name, fail := range map[string]func(a work) error{
		"error":     func(a work) error { return fmt.Errorf("mail to %s, %q: refused", a.Text, a.Text) },
		"permanent": func(a work) error { return jobrt.Permanent(errors.New("no " + a.Text)) },
		"cancel":    func(a work) error { return jobrt.Cancel("left: " + a.Text) },
		"panic":     func(a work) error { panic("bad " + a.Text) },
		"JSON": func(a work) error {
			body, err := json.Marshal(map[string]string{"to": a.Text})
			return errors.Join(err, fmt.Errorf("post %s: refused", body))
		},
		"cut": func(a work) error {
			return fmt.Errorf("%s%s %s", strings.Repeat("-", 8165), a.Text, strings.Repeat("-", 99))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const secret = `ann"x<x@example.com>`
				b := newBench(t, nil)
				job := newJob("Mail", retries(0))
				job.Args.Secrets = []string{".text"}
				handle(b, job, func(_ context.Context, a work) (done, error) { return done{}, fail(a) })
				var l told
				stop := b.run(l.config())
				h := b.enqueue(job, work{N: 1, Text: secret})
				_, err := b.await(h)
				mustStop(t, stop)
				info := b.info(h.ID())
				all := fmt.Sprint(err, info.Error, info.Attempts, b.log, l.dead, l.moved)
				if strings.Contains(all, "x@exam") || strings.Contains(all, `ann"`) || strings.Contains(all, `ann\"`) || !strings.Contains(info.Error, jobrt.Redacted) {
					t.Errorf("the secret is shown: %s", all)
				}
			})
		})
	}
}
