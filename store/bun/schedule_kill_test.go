//go:build unix

package bunstore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// clerk is where a worker process of the test below leaves its traces, and from which database it works.
const (
	clerkDSN  = "JOBGEN_TEST_CLERK"
	clerkDesk = "JOBGEN_TEST_CLERK_DESK"
)

const (
	tickEvery  = 200 * time.Millisecond
	clerkLease = 2 * time.Second
)

var tickID = jobrt.ScheduleID{Kind: "svc/test.Tick", Name: jobrt.DefaultSchedule}

// clerkRegistry has a schedule whose runs leave a file each, and a loop that leaves a line for each run. Meanwhile
// it holds a lock that the kernel takes from a process that dies.
func clerkRegistry(t testing.TB, desk string) *jobrt.Registry {
	t.Helper()
	tick := &jobrt.Job[jobrt.None, jobrt.None]{
		Service: "svc", Kind: tickID.Kind, Settings: jobrt.DefaultSettings(), Args: jobrt.NoneCodec, Result: jobrt.NoneCodec,
	}
	reg := jobrt.NewRegistry()
	err := errors.Join(
		jobrt.Register(reg, tick, func(ctx context.Context, _ jobrt.None) (jobrt.None, error) {
			run, _ := jobrt.FromContext(ctx)
			name := fmt.Sprintf("tick-%d-%s", run.ScheduledFor.UnixMicro(), run.ID)
			return jobrt.None{}, os.WriteFile(filepath.Join(desk, name), nil, 0o600)
		}),
		jobrt.RegisterSchedule(reg, tick, "", jobrt.Every(tickEvery), jobrt.Misfire(jobrt.MisfireAll)),
		jobrt.RegisterLoop(reg, jobrt.Loop{Service: "svc", Name: "svc/test.Poll", Every: 100 * time.Millisecond}, func(ctx context.Context) error {
			return pollAlone(ctx, desk)
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// pollAlone is a run of the loop. It leaves a line "begin PID", and another "twice PID" of a process that it met.
func pollAlone(ctx context.Context, desk string) error {
	lock, err := os.OpenFile(filepath.Join(desk, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := make([]byte, 20)
		n, _ := lock.ReadAt(holder, 0)
		return leave(desk, fmt.Sprintf("twice %s", strings.TrimSpace(string(holder[:n]))))
	}
	if _, err := lock.WriteAt(fmt.Appendf(nil, "%-20d", os.Getpid()), 0); err != nil {
		return err
	}
	if err := leave(desk, fmt.Sprintf("begin %d", os.Getpid())); err != nil {
		return err
	}
	select {
	case <-time.After(200 * time.Millisecond):
	case <-ctx.Done():
	}
	return ctx.Err()
}

// leave adds a line to the log.
func leave(desk, line string) error {
	f, err := os.OpenFile(filepath.Join(desk, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

func TestClerk(t *testing.T) {
	dsn := os.Getenv(clerkDSN)
	if dsn == "" {
		return // the worker process of the test below
	}
	_, client := openClient(t, dsn)
	startPool(t, client, clerkRegistry(t, os.Getenv(clerkDesk)), jobrt.PoolConfig{LeaseTTL: clerkLease})
	select {}
}

// desk is what worker processes have left.
type desk struct {
	t   *testing.T
	dir string
}

// lines of the loop's runs, as the numbers of the processes.
func (d desk) lines(word string) (pids []int) {
	text, _ := os.ReadFile(filepath.Join(d.dir, "log"))
	for line := range strings.Lines(string(text)) {
		if what, pid, ok := strings.Cut(strings.TrimSpace(line), " "); ok && what == word {
			n, err := strconv.Atoi(pid)
			if err != nil {
				d.t.Fatalf("line %q", line)
			}
			pids = append(pids, n)
		}
	}
	return pids
}

// looping waits for another process than the given ones to begin a run of the loop, and returns it.
func (d desk) looping(but ...int) (pid int) {
	d.t.Helper()
	seen := len(d.lines("begin"))
	eventually(d.t, "the loop to be taken over", func() bool {
		for _, pid = range d.lines("begin")[seen:] {
			if !slices.Contains(but, pid) {
				return true
			}
		}
		return false
	})
	return pid
}

// ticks are the runs of the schedule with the jobs that brought them.
func (d desk) ticks() map[int64][]string {
	d.t.Helper()
	files, err := filepath.Glob(filepath.Join(d.dir, "tick-*"))
	if err != nil {
		d.t.Fatal(err)
	}
	ticks := make(map[int64][]string)
	for _, file := range files {
		us, job, _ := strings.Cut(strings.TrimPrefix(filepath.Base(file), "tick-"), "-")
		tick, err := strconv.ParseInt(us, 10, 64)
		if err != nil {
			d.t.Fatal(err)
		}
		ticks[tick] = append(ticks[tick], job)
	}
	return ticks
}

// TestKilledWorkersLoseNoTickAndDoubleNone has three worker processes look after a schedule and a loop. Whoever runs the
// loop is killed, twice, and another one is frozen until its lease is over, and killed later; new ones take their places.
func TestKilledWorkersLoseNoTickAndDoubleNone(t *testing.T) {
	for name, open := range databases(t) {
		if name == "PgBouncer" {
			continue // to schedules it is PostgreSQL
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn, d := open(t), desk{t, t.TempDir()}
			store, client := openClient(t, dsn)
			workers := make(map[int]*exec.Cmd)
			start := func() {
				w := exec.Command(os.Args[0], "-test.run=^TestClerk$")
				w.Env = append(os.Environ(), clerkDSN+"="+dsn, clerkDesk+"="+d.dir)
				if err := w.Start(); err != nil {
					t.Fatal(err)
				}
				workers[w.Process.Pid] = w
			}
			kill := func(pid int) {
				_ = workers[pid].Process.Kill() // SIGKILL: no goodbye
				_ = workers[pid].Wait()
				delete(workers, pid)
			}
			t.Cleanup(func() {
				for pid := range workers {
					kill(pid)
				}
			})
			for range 3 {
				start()
			}
			begun := time.Now()
			var gone []int
			var away []time.Duration
			for range 2 {
				pid := d.looping(gone...)
				kill(pid)
				gone = append(gone, pid)
				killed := time.Now()
				start()
				d.looping(gone...)
				away = append(away, time.Since(killed).Round(10*time.Millisecond))
			}
			var frozen []int
			for len(d.lines("twice")) == 0 && len(frozen) < 5 { // until one is frozen outside of a transaction that all wait for
				pid := d.looping(gone...)
				frozen = append(frozen, pid)
				_ = workers[pid].Process.Signal(syscall.SIGSTOP)
				for over := time.Now().Add(2 * clerkLease); len(d.lines("twice")) == 0 && time.Now().Before(over); {
					time.Sleep(10 * time.Millisecond)
				}
				_ = workers[pid].Process.Signal(syscall.SIGCONT)
			}
			d.looping(gone...)
			kill(frozen[len(frozen)-1])

			startPool(t, client, clerkRegistry(t, d.dir), jobrt.PoolConfig{LeaseTTL: clerkLease})
			others := slices.Collect(maps.Keys(workers))
			for _, pid := range others {
				kill(pid)
			}
			op, err := jobrt.NewOperator(store, jobrt.Actor{Name: "test"})
			if err != nil {
				t.Fatal(err)
			}
			d.looping(slices.Concat(gone, frozen, others)...)
			if err := op.PauseSchedule(t.Context(), tickID, time.Time{}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "all jobs", func() bool { return live(t, store) == 0 })

			runs, err := op.ScheduleRuns(t.Context(), tickID, time.Time{}, 1000)
			if err != nil || len(runs) < 20 {
				t.Fatalf("%d runs, %v", len(runs), err)
			}
			ticks := d.ticks()
			for i, run := range runs {
				if i > 0 && runs[i-1].Tick.Sub(run.Tick) != tickEvery {
					t.Errorf("tick %v is followed by %v", run.Tick, runs[i-1].Tick)
				}
				if jobs := ticks[run.Tick.UnixMicro()]; !slices.Equal(jobs, []string{run.Job.String()}) {
					t.Errorf("tick %v was run by %v, want the job %s", run.Tick, jobs, run.Job)
				}
			}
			if len(ticks) != len(runs) {
				t.Errorf("%d ticks were run, %d are known", len(ticks), len(runs))
			}
			for _, pid := range d.lines("twice") {
				if !slices.Contains(frozen, pid) { // which held the lock while it could not know that its lease was over
					t.Errorf("the loop was run while process %d ran it", pid)
				}
			}
			t.Logf("%d ticks, %d runs of the loop in %v; it was taken over %v after its runner was killed; met one of %d frozen ones %d times",
				len(runs), len(d.lines("begin")), time.Since(begun).Round(100*time.Millisecond), away, len(frozen), len(d.lines("twice")))
		})
	}
}
