package bunstore_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sleeperDSN is the database of the worker process of the test below.
const sleeperDSN = "JOBGEN_TEST_SLEEPER"

// sleeperRegistry runs handlers until they are told to end. They print when they begin, and when and why they end.
func sleeperRegistry(t testing.TB) *jobrt.Registry {
	t.Helper()
	reg := jobrt.NewRegistry()
	err := jobrt.Register(reg, noteJob("Sleep"), func(ctx context.Context, a note) (note, error) {
		fmt.Println("began", a.N)
		<-ctx.Done()
		fmt.Println("told", time.Now().UnixMicro(), context.Cause(ctx))
		return note{}, ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func TestSleeper(t *testing.T) {
	dsn := os.Getenv(sleeperDSN)
	if dsn == "" {
		return // the worker process of the test below
	}
	_, client := openClient(t, dsn)
	startPool(t, client, sleeperRegistry(t), jobrt.PoolConfig{})
	select {}
}

// TestACancelReachesAnotherProcessAndAKilledOneIsReplaced runs handlers in a process of its own, cancels them from this
// one and takes the times; then it kills that process and takes over, all at defaults.
func TestACancelReachesAnotherProcessAndAKilledOneIsReplaced(t *testing.T) {
	t.Parallel()
	dsn := databases(t)["PostgreSQL"](t)
	store, client := openClient(t, dsn)
	ctx := jobrt.WithClient(t.Context(), client)
	worker := exec.Command(os.Args[0], "-test.run=^TestSleeper$", "-test.v")
	worker.Env = append(os.Environ(), sleeperDSN+"="+dsn)
	out, err := worker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	defer func() {
		if !killed {
			_ = worker.Process.Kill()
			_ = worker.Wait()
		}
	}()
	lines := bufio.NewScanner(out)
	next := func(word string) string {
		t.Helper()
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), word+" "); ok {
				return rest
			}
		}
		t.Fatalf("the worker process ended before it said %q: %v", word, lines.Err())
		return ""
	}
	sleep := func(n int) jobrt.ID {
		t.Helper()
		h, err := jobrt.Enqueue(ctx, nil, noteJob("Sleep"), note{N: n})
		if err != nil {
			t.Fatal(err)
		}
		return h.ID()
	}
	o, err := jobrt.NewOperator(store, jobrt.Actor{Name: "ann", Reason: "customer left"})
	if err != nil {
		t.Fatal(err)
	}
	var took []time.Duration
	for n := range 15 {
		id := sleep(n)
		next("began")
		asked := time.Now()
		if _, err := o.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		var us int64
		told := next("told")
		if _, err := fmt.Sscan(told, &us); err != nil || !strings.HasSuffix(told, "cancelled by ann: customer left") {
			t.Fatalf("told %q, %v", told, err)
		}
		took = append(took, time.UnixMicro(us).Sub(asked))
		eventually(t, "the job's end", func() bool {
			info, err := store.Job(t.Context(), id)
			return err == nil && info.State == jobrt.StateCancelled
		})
	}
	slices.Sort(took)
	t.Logf("from the call of Cancel to the handler in another process: min %v, median %v, max %v", took[0], took[len(took)/2], took[len(took)-1])
	if median := took[len(took)/2]; median > 900*time.Millisecond {
		t.Errorf("median %v: the handler was not woken, but has polled", median)
	}

	if testing.Short() {
		return
	}
	left := sleep(99)
	next("began")
	killed = true
	_ = worker.Process.Kill() // SIGKILL: no goodbye
	_ = worker.Wait()
	gone := time.Now()
	again := make(chan time.Time, 1)
	reg := jobrt.NewRegistry()
	err = jobrt.Register(reg, noteJob("Sleep"), func(context.Context, note) (note, error) {
		again <- time.Now()
		return note{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	startPool(t, client, reg, jobrt.PoolConfig{})
	select {
	case at := <-again:
		t.Logf("from kill -9 to the start in another process, at defaults: %v", at.Sub(gone))
		if at.Sub(gone) > 45*time.Second {
			t.Errorf("it took %v", at.Sub(gone))
		}
	case <-time.After(90 * time.Second):
		t.Fatal("the job of the killed process is not run again")
	}
	eventually(t, "the job's end", func() bool {
		info, err := store.Job(t.Context(), left)
		return err == nil && info.State == jobrt.StateSucceeded
	})
}
