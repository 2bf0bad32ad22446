package jobtest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Job is an enqueued job with its arguments decoded.
type Job[A any] struct {
	jobrt.JobInfo
	Args A
}

// Enqueued returns every job of this kind that env has stored so far, whatever has become of it, in the order of the
// enqueues. Arguments that do not decode fail the test.
func Enqueued[A, R any](tb testing.TB, env *Env, job *jobrt.Job[A, R]) []Job[A] {
	tb.Helper()
	var found []Job[A]
	for _, info := range env.Store.all() {
		if info.Kind != job.Kind && !slices.Contains(job.Aliases, info.Kind) {
			continue
		}
		if env.Client != nil {
			if err := env.Client.Reveal(&info); err != nil {
				tb.Fatalf("jobtest: %s: %v", info.Kind, err)
			}
		}
		j := Job[A]{JobInfo: info}
		if err := job.Args.Decode(info.Args, &j.Args); err != nil {
			tb.Fatalf("jobtest: arguments of %s %s do not decode: %v\n%s", info.Kind, info.ID, err, info.Args)
		}
		found = append(found, j)
	}
	return found
}

// RequireEnqueued fails the test unless a job of this kind has been enqueued with exactly these arguments, and lists
// what has been enqueued instead. It returns the first such job, so that a test can look at its queue, delay or tags.
// Arguments are equal when their stored forms are.
func RequireEnqueued[A, R any](tb testing.TB, env *Env, job *jobrt.Job[A, R], want A) Job[A] {
	tb.Helper()
	text, err := job.Args.Append(nil, &want)
	if err != nil {
		tb.Fatalf("jobtest: the arguments to look for cannot be stored: %v", err)
	}
	for _, j := range Enqueued(tb, env, job) {
		if bytes.Equal(j.JobInfo.Args, text) {
			return j
		}
	}
	tb.Fatalf("no %s was enqueued with %s\n%s", job.Kind, text, env.Store.list())
	return Job[A]{}
}

// RequireEnqueuedFunc fails the test unless a job of this kind has been enqueued that match accepts, and lists what has
// been enqueued instead. It returns the first such job.
func RequireEnqueuedFunc[A, R any](tb testing.TB, env *Env, job *jobrt.Job[A, R], match func(Job[A]) bool) Job[A] {
	tb.Helper()
	for _, j := range Enqueued(tb, env, job) {
		if match(j) {
			return j
		}
	}
	tb.Fatalf("no %s that matches was enqueued\n%s", job.Kind, env.Store.list())
	return Job[A]{}
}

// RequireNotEnqueued fails the test when a job of this kind has been enqueued, and lists what has been.
func RequireNotEnqueued[A, R any](tb testing.TB, env *Env, job *jobrt.Job[A, R]) {
	tb.Helper()
	if n := len(Enqueued(tb, env, job)); n > 0 {
		tb.Fatalf("%d of %s enqueued, want none\n%s", n, job.Kind, env.Store.list())
	}
}

// all returns every job in the order of the enqueues.
func (m *Memory) all() []jobrt.JobInfo {
	m.mu.Lock()
	defer m.mu.Unlock()
	infos := make([]jobrt.JobInfo, 0, len(m.jobs))
	for _, r := range m.jobs {
		infos = append(infos, r.look())
	}
	slices.SortFunc(infos, func(a, b jobrt.JobInfo) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), compareIDs(a.ID, b.ID))
	})
	return infos
}

// Bounds of a listing, so that a failure stays readable.
const (
	listMost     = 20
	listArgsMost = 300
)

// list describes every job for the message of a failure.
func (m *Memory) list() string {
	now, infos := m.Now(), m.all()
	if len(infos) == 0 {
		return "nothing was enqueued"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "enqueued (%d, oldest first):", len(infos))
	for i, info := range infos {
		if i == listMost {
			fmt.Fprintf(&b, "\n  … and %d more", len(infos)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s %s queue=%s", info.Kind, describe(info, now), info.Queue)
		if info.Priority != jobrt.DefaultSettings().Priority {
			fmt.Fprintf(&b, " priority=%d", info.Priority)
		}
		args := string(info.Args)
		if len(args) > listArgsMost {
			args = strings.ToValidUTF8(args[:listArgsMost], "") + "…"
		}
		fmt.Fprintf(&b, " %s", args)
	}
	return b.String()
}

// describe says where a job stands: "scheduled (in 1h0m0s)", "dead (permanent: no such customer)".
func describe(info jobrt.JobInfo, now time.Time) string {
	switch {
	case info.State == jobrt.StateScheduled:
		return fmt.Sprintf("%s (in %v)", info.State, info.RunAt.Sub(now).Round(time.Millisecond))
	case info.State == jobrt.StateDead:
		return fmt.Sprintf("%s (%s: %s)", info.State, info.Reason, info.Error)
	case info.Error != "":
		return fmt.Sprintf("%s (%s)", info.State, info.Error)
	}
	return string(info.State)
}
