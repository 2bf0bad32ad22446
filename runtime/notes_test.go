package jobrt_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// noteStore lets a test answer Note, and remembers what came.
type noteStore struct {
	*jobtest.Memory
	refuse func(batch []jobrt.Note) error

	mu     sync.Mutex
	events []string // "note" and "finish", in order
}

func (s *noteStore) saw(event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, event)
}

func (s *noteStore) count(event string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e == event {
			n++
		}
	}
	return n
}

func (s *noteStore) Note(ctx context.Context, batch []jobrt.Note) error {
	s.saw("note")
	if s.refuse != nil {
		if err := s.refuse(batch); err != nil {
			return err
		}
	}
	return s.Memory.Note(ctx, batch)
}

func (s *noteStore) Finish(ctx context.Context, tx jobrt.Tx, batch []jobrt.Finish) ([]jobrt.FinishResult, error) {
	s.saw("finish")
	return s.Memory.Finish(ctx, tx, batch)
}

// logOf returns a job's log, a line each: level, message, attributes.
func logOf(t *testing.T, b *bench, id jobrt.ID) string {
	t.Helper()
	lines, err := b.store.Logs(context.Background(), id, jobrt.LogPlace{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&text, "%d %v %s %s\n", l.Attempt, l.Level, l.Message, l.Attrs)
	}
	return text.String()
}

func TestLogIsStoredWithTheJobAndPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tries := newBench(t, nil), 0
		info := attempts(t, b, func(ctx context.Context) error {
			log := jobrt.Log(ctx)
			log.Debug("not stored")
			if tries++; tries == 1 {
				log.Info("first", "page", 1, "err", errors.New("no paper"))
				return errors.New("again")
			}
			log.With("user", 7).WithGroup("page").With("of", 3).Warn("second", "no", 2, "took", time.Second)
			log.Error("third", "bad", make(chan int), "msg", "kept", "level", "kept")
			log.Info("a\x00b\xff", "k\x00", "v\xff")
			return nil
		})
		want := `1 INFO first {"page":1,"err":"no paper"}
2 WARN second {"user":7,"page":{"of":3,"no":2,"took":1000000000}}
2 ERROR third {"bad":"!ERROR:json: unsupported type: chan int","msg":"kept","level":"kept"}
2 INFO a` + "\uFFFD" + `b` + "\uFFFD" + ` {"k\u0000":"v\ufffd"}
`
		if got := logOf(t, b, info.ID); got != want {
			t.Errorf("log:\n%swant:\n%s", got, want)
		}
		for _, want := range []string{
			"level=INFO msg=first id=" + info.ID.String() + " kind=" + info.Kind + " attempt=1 page=1 err=\"no paper\"\n",
			"level=WARN msg=second id=" + info.ID.String() + " kind=" + info.Kind + " attempt=2 user=7 page.of=3 page.no=2 page.took=1s\n",
		} {
			if !strings.Contains(b.log.String(), want) {
				t.Errorf("the pool's log has no %q:\n%s", want, b.log)
			}
		}
		if strings.Contains(b.log.String(), "not stored") {
			t.Error("a line of a level that the pool's logger does not take was passed on")
		}
	})
}

func TestOutsideAHandlerLogIsTheDefaultAndProgressDoesNothing(t *testing.T) {
	jobrt.Progress(t.Context(), 1, 2)
	if jobrt.Log(t.Context()) != slog.Default() {
		t.Error("want slog.Default()")
	}
}

func TestALogIsCappedAndSaysSo(t *testing.T) {
	for name, tc := range map[string]struct {
		write func(log *slog.Logger)
		lines int
		last  string
	}{
		"lines": {func(log *slog.Logger) {
			for i := range 1200 {
				log.Info(fmt.Sprint(i))
			}
		}, 1001, "200 lines dropped"},
		"bytes": {func(log *slog.Logger) {
			for range 100 {
				log.Info(strings.Repeat("x", 1<<20))
			}
		}, 33, "68 lines dropped"},
		"attributes": {func(log *slog.Logger) { log.Info("large", "a", strings.Repeat("x", 1<<20)) }, 1, `{"!":"attributes of 1048584 bytes are left out"}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				info := attempts(t, b, func(ctx context.Context) error { tc.write(jobrt.Log(ctx)); return nil })
				var lines []jobrt.LogLine
				for {
					behind := jobrt.LogPlace{}
					if n := len(lines); n > 0 {
						behind = lines[n-1].LogPlace
					}
					page, err := b.store.Logs(b.ctx, info.ID, behind, 0)
					if err != nil {
						t.Fatal(err)
					}
					if len(page) == 0 {
						break
					}
					lines = append(lines, page...)
				}
				if len(lines) != tc.lines {
					t.Fatalf("%d lines, want %d", len(lines), tc.lines)
				}
				last := lines[len(lines)-1]
				if text := last.Message + string(last.Attrs); !strings.Contains(text, tc.last) || len(text) > 9<<10 {
					t.Errorf("the last line is %.200q, want %q", text, tc.last)
				}
			})
		})
	}
}

func TestProgressIsCoalescedAndCompleteWhenTheJobEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &noteStore{Memory: jobtest.NewMemory()}
		b := newBench(t, store)
		job := newJob("Import")
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			for i := range 1000 {
				jobrt.Progress(ctx, int64(i+1), 1000, fmt.Sprintf("row %d", i+1))
				time.Sleep(10 * time.Millisecond)
			}
			return done{}, nil
		})
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(job, work{}, jobrt.KeepResult())
		time.Sleep(3 * time.Second)
		if p := b.info(h.ID()).Progress; p == nil || p.Done < 150 || p.Done > 300 || p.Total != 1000 {
			t.Errorf("after 3 of 10 s: %+v", p)
		}
		if _, err := b.await(h); err != nil {
			t.Fatal(err)
		}
		p := b.info(h.ID()).Progress
		if p == nil || p.Done != 1000 || p.Message != "row 1000" {
			t.Errorf("in the end: %+v; want 1000", p)
		}
		if n := store.count("note"); n > 12 {
			t.Errorf("%d writes in 10 s, want one a second", n)
		}
		if last := store.events[len(store.events)-1]; last != "finish" {
			t.Errorf("the last of %v comes after the end of the job", store.events)
		}
		mustStop(t, stop)
	})
}

func TestAJobThatNotesNothingCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &noteStore{Memory: jobtest.NewMemory()}
		info := attempts(t, newBench(t, store), func(ctx context.Context) error { _ = jobrt.Log(ctx); return nil })
		if info.State != jobrt.StateSucceeded || store.count("note") != 0 {
			t.Errorf("job is %s after %d notes", info.State, store.count("note"))
		}
	})
}

func TestAStoreThatTakesNoNotesHoldsUpNoJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &noteStore{Memory: jobtest.NewMemory()}
		away := true
		var mu sync.Mutex
		store.refuse = func([]jobrt.Note) error {
			mu.Lock()
			defer mu.Unlock()
			if away {
				return jobrt.ErrUnavailable
			}
			return nil
		}
		b := newBench(t, store)
		job := newJob("Talk")
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			begun := time.Now()
			jobrt.Log(ctx).Info("hello")
			jobrt.Progress(ctx, 1, 1)
			if waited := time.Since(begun); waited > 0 {
				t.Errorf("a handler waited for %v", waited)
			}
			time.Sleep(1500 * time.Millisecond)
			jobrt.Log(ctx).Info("again")
			return done{}, nil
		})
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(job, work{}, jobrt.KeepResult())
		begun := time.Now()
		if _, err := b.await(h); err != nil || time.Since(begun) > 4*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		mu.Lock()
		away = false
		mu.Unlock()
		time.Sleep(3 * time.Second)
		if got := logOf(t, b, h.ID()); got != "1 INFO hello \n1 INFO again \n" {
			t.Errorf("once the store is back: %q", got)
		}
		if p := b.info(h.ID()).Progress; p == nil || p.Done != 1 {
			t.Errorf("once the store is back: progress %+v", p)
		}
		mustStop(t, stop)
	})
}

func TestWhatIsKeptForAStoreThatTakesNoNotesIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &noteStore{Memory: jobtest.NewMemory()}
		var away atomic.Bool
		away.Store(true)
		store.refuse = func([]jobrt.Note) error {
			if away.Load() {
				return jobrt.ErrUnavailable
			}
			return nil
		}
		b := newBench(t, store)
		job, line := newJob("Talk"), strings.Repeat("x", 8000)
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			for range 25 {
				jobrt.Log(ctx).Info(line)
			}
			return done{}, nil
		})
		const jobs = 120 // 24 MB
		handles := b.enqueueMany(job, jobs)
		stop := b.run(jobrt.PoolConfig{})
		time.Sleep(10 * time.Second)
		away.Store(false)
		time.Sleep(10 * time.Second)
		mustStop(t, stop)
		kept := 0
		for _, h := range handles {
			if lines, err := store.Logs(t.Context(), h.ID(), jobrt.LogPlace{}, 1); err == nil && len(lines) > 0 {
				kept++
			}
		}
		if kept < 70 || kept > 100 {
			t.Errorf("the notes of %d jobs were kept, want about 16 MiB", kept)
		}
	})
}

func TestANoteThatIsRefusedHarmsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &noteStore{Memory: jobtest.NewMemory()}
		store.refuse = func(batch []jobrt.Note) error {
			for _, n := range batch {
				for _, l := range n.Lines {
					if l.Message == "poison" {
						return errors.New("refused")
					}
				}
			}
			return nil
		}
		b := newBench(t, store)
		job := newJob("Talk")
		together := make(chan struct{})
		handle(b, job, func(ctx context.Context, w work) (done, error) {
			<-together
			jobrt.Log(ctx).Info(w.Text)
			return done{}, nil
		})
		stop := b.run(jobrt.PoolConfig{})
		poisoned, fine := b.enqueue(job, work{Text: "poison"}, jobrt.KeepResult()), b.enqueue(job, work{Text: "fine"}, jobrt.KeepResult())
		synctest.Wait()
		close(together)
		for _, h := range []jobrt.Handle[done]{poisoned, fine} {
			if _, err := b.await(h); err != nil {
				t.Error(err)
			}
		}
		if got := logOf(t, b, fine.ID()) + logOf(t, b, poisoned.ID()); got != "1 INFO fine \n" {
			t.Errorf("logs: %q", got)
		}
		if !strings.Contains(b.log.String(), "cannot be stored") {
			t.Errorf("the pool's log does not tell:\n%s", b.log)
		}
		mustStop(t, stop)
	})
}

func TestNotesOutliveAStopOfThePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Talk")
		begun, late := make(chan struct{}), make(chan struct{})
		handle(b, job, func(ctx context.Context, _ work) (done, error) {
			jobrt.Log(ctx).Info("begun")
			close(begun)
			<-ctx.Done()
			jobrt.Log(ctx).Info("stopping", "why", context.Cause(ctx))
			go func() {
				<-late
				jobrt.Log(ctx).Info("too late to be stored")
				jobrt.Progress(ctx, 1, 1)
			}()
			return done{}, ctx.Err()
		})
		stop := b.run(jobrt.PoolConfig{DrainTimeout: time.Millisecond})
		h := b.enqueue(job, work{})
		<-begun
		mustStop(t, stop)
		close(late)
		synctest.Wait()
		if got := logOf(t, b, h.ID()); got != "1 INFO begun \n1 INFO stopping {\"why\":\"worker pool is stopping\"}\n" {
			t.Errorf("log: %q", got)
		}
		if !strings.Contains(b.log.String(), "too late to be stored") {
			t.Error("a late line was not passed on")
		}
		if info := b.info(h.ID()); info.State != jobrt.StateReady || info.Progress != nil {
			t.Errorf("job is %s with progress %+v; want it handed back", info.State, info.Progress)
		}
	})
}

type creditCard struct {
	Number string
	Code   int
}

func TestSecretsOfTheArgumentsAreHiddenInLogAndProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		job := newJob("Secret")
		job.Args.Secrets = []string{".text"}
		const secret = `tok"en-Ü`
		handle(b, job, func(ctx context.Context, w work) (done, error) {
			log := jobrt.Log(ctx).With("auth", "Bearer "+w.Text)
			log.Info("using "+w.Text, "err", fmt.Errorf("bad token %q", w.Text), "card", creditCard{Number: w.Text},
				slog.Group("g", "t", w.Text, "ok", true), "json", json.RawMessage(fmt.Sprintf(`{"t":%q}`, w.Text)), "n", 7)
			jobrt.Progress(ctx, 1, 2, "with "+w.Text)
			return done{}, nil
		})
		stop := b.run(jobrt.PoolConfig{})
		h := b.enqueue(job, work{N: 7, Text: secret}, jobrt.KeepResult())
		if _, err := b.await(h); err != nil {
			t.Fatal(err)
		}
		stored := logOf(t, b, h.ID())
		for name, text := range map[string]string{"stored": stored, "passed on": b.log.String(), "progress": b.info(h.ID()).Progress.Message} {
			if strings.Contains(text, "en-Ü") || !strings.Contains(text, jobrt.Redacted) {
				t.Errorf("%s: %s", name, text)
			}
		}
		if !strings.Contains(stored, `"n":7`) || !strings.Contains(stored, `"ok":true`) {
			t.Errorf("more than the secret is hidden: %s", stored)
		}
		mustStop(t, stop)
	})
}
