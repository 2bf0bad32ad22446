package storetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

var modelCases = []testCase{
	{name: "random calls agree with a model of the job's life", run: func(e *env) {
		for range 2 {
			runModel(e, 300)
		}
	}},
	{name: "many workers that fail, vanish and come back end each job once", run: chaos},
	{name: "many workers leave every job of random graphs as its parents decide", run: func(e *env) {
		for range 3 {
			graphChaos(newEnv(e.T, e.h))
		}
	}},
}

// seed returns the seed of a random case and prints it when the case fails.
func (e *env) seed() uint64 {
	e.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("STORETEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			e.Fatalf("STORETEST_SEED: %v", err)
		}
	}
	e.Cleanup(func() {
		if e.Failed() {
			e.Logf("run this case again with STORETEST_SEED=%d", seed)
		}
	})
	return seed
}

// modelJob is what the model knows of one job.
type modelJob struct {
	new     jobrt.NewJob
	state   jobrt.State
	reason  jobrt.DeadReason
	due     time.Duration // on the model's clock
	seq     int64         // as last seen; it may only grow
	attempt int
	crashes int
	suspect bool
	started bool
	owner   int // index of the worker
	records int // attempts on record
	// old are claims that were lost or settled.
	old []jobrt.Ref
	// vague is set while the contract leaves open whether the job is still suspect: after an attempt that ended well
	// enough to be retried. The next claim tells.
	vague bool
}

// model is a state machine of the contract, driven beside a store by random calls. Its clock moves by whole hours, so
// that the seconds which a slow store takes never matter.
type model struct {
	*env
	rnd     *rand.Rand
	now     time.Duration
	jobs    []*modelJob
	byID    map[jobrt.ID]*modelJob
	keys    map[string]*modelJob // last to take the key
	workers []*worker
	ref     *worker // calls duties
	log     []string
}

func runModel(e *env, steps int) {
	seed := e.seed()
	m := &model{
		env: newEnv(e.T, e.h), rnd: rand.New(rand.NewPCG(seed, 1)), byID: make(map[jobrt.ID]*modelJob),
		keys: make(map[string]*modelJob),
	}
	m.ref = m.worker()
	for range 3 {
		m.workers = append(m.workers, m.worker())
	}
	e.Cleanup(func() {
		if e.Failed() {
			for _, line := range m.log[max(0, len(m.log)-40):] {
				e.Log(line)
			}
		}
	})
	actions := []struct {
		weight int
		do     func()
	}{
		{6, m.doInsert}, {2, m.doResend}, {8, m.doClaim}, {4, m.doStart}, {10, m.doFinish}, {3, m.doStale},
		{2, m.doVanish}, {2, m.doAdopt}, {3, m.doRescue}, {3, m.doPromote}, {3, m.doRetry}, {3, m.doAdvance}, {1, m.doRevive},
	}
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	for step := range steps {
		n := m.rnd.IntN(total)
		for _, a := range actions {
			if n -= a.weight; n < 0 {
				a.do()
				break
			}
		}
		if step%100 == 99 || step == steps-1 {
			m.compareAll()
		}
	}
}

func (m *model) note(format string, values ...any) {
	m.log = append(m.log, fmt.Sprintf(format, values...))
}

// pick returns a random job in one of the states, or nil.
func (m *model) pick(states ...jobrt.State) *modelJob {
	var some []*modelJob
	for _, j := range m.jobs {
		if slices.Contains(states, j.state) {
			some = append(some, j)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return some[m.rnd.IntN(len(some))]
}

func (m *model) holder(key string) *modelJob {
	if j := m.keys[key]; j != nil && j.state.Live() {
		return j
	}
	return nil
}

func (m *model) doInsert() {
	batch := make([]jobrt.NewJob, 1+m.rnd.IntN(4))
	want := make([]jobrt.Inserted, len(batch))
	for i := range batch {
		n := newJob(priority(1 + m.rnd.IntN(3)))
		if m.rnd.IntN(3) == 0 {
			n.Delay = time.Duration(1+m.rnd.IntN(5)) * time.Hour
		}
		if m.rnd.IntN(3) == 0 {
			n.Kind = kindB
		}
		key := ""
		if m.rnd.IntN(3) == 0 {
			key = strconv.Itoa(m.rnd.IntN(4))
			unique(key)(&n)
		}
		batch[i], want[i] = n, jobrt.Inserted{ID: n.ID}
		if h := m.holder(string(n.UniqueKey)); key != "" && h != nil {
			want[i] = jobrt.Inserted{ID: h.new.ID, Existed: true}
			continue
		}
		j := &modelJob{new: n, state: jobrt.StateReady, due: m.now + n.Delay}
		if n.Delay > 0 {
			j.state = jobrt.StateScheduled
		}
		m.jobs = append(m.jobs, j)
		m.byID[n.ID] = j
		if key != "" {
			m.keys[string(n.UniqueKey)] = j
		}
	}
	m.note("insert %d: %+v", len(batch), want)
	if got := m.tryInsert(batch...); !slices.Equal(got, want) {
		m.Fatalf("insert: got %+v, want %+v", got, want)
	}
}

func (m *model) doResend() {
	if len(m.jobs) == 0 {
		return
	}
	j := m.jobs[m.rnd.IntN(len(m.jobs))]
	m.note("resend %s (%s)", j.new.ID, j.state)
	m.insert(resend(j.new)...)
}

func (m *model) doClaim() {
	i := m.rnd.IntN(len(m.workers))
	w := m.workers[i]
	r := w.request(1 + m.rnd.IntN(5))
	r.Start = m.rnd.IntN(r.Limit + 1)
	if m.rnd.IntN(2) == 0 {
		r.Kinds = []string{kind}
	}
	var ready []*modelJob
	for _, j := range m.jobs {
		if j.state == jobrt.StateReady && slices.Contains(r.Kinds, j.new.Kind) {
			ready = append(ready, j)
		}
	}
	got := w.claimWith(r)
	m.note("worker %d claims %d of %v, start %d: %v", i, r.Limit, r.Kinds, r.Start, idsOf(got))
	if len(got) != min(r.Limit, len(ready)) {
		m.Fatalf("claim: got %d jobs, want %d of %d ready", len(got), r.Limit, len(ready))
	}
	// The exact due time is the store's; the model checks the order by priority and by hours.
	slices.SortStableFunc(ready, func(a, b *modelJob) int { return cmp.Compare(a.new.Priority, b.new.Priority) })
	for n, c := range got {
		j := m.byID[c.ID]
		switch {
		case j == nil || j.state != jobrt.StateReady:
			m.Fatalf("claim: got job %s, which is not ready", c.ID)
		case c.Priority != ready[n].new.Priority:
			m.Fatalf("claim: job %d has priority %d, want %d", n, c.Priority, ready[n].new.Priority)
		case c.LeaseSeq <= j.seq:
			m.Fatalf("claim: lease_seq of %s went from %d to %d", c.ID, j.seq, c.LeaseSeq)
		case c.Attempt != j.attempt || c.Crashes != j.crashes:
			m.Fatalf("claim: job %s has attempt %d and crashes %d, want %d and %d", c.ID, c.Attempt, c.Crashes, j.attempt, j.crashes)
		case !j.vague && c.Suspect != j.suspect:
			m.Fatalf("claim: job %s: suspect %t, want %t", c.ID, c.Suspect, j.suspect)
		case c.Suspect && c.Started, !c.Suspect && c.Started != (n < r.Start):
			m.Fatalf("claim: job %d of %d with Start %d: suspect %t, started %t", n, len(got), r.Start, c.Suspect, c.Started)
		}
		j.suspect, j.vague = c.Suspect, false
		j.state, j.seq, j.started, j.owner = jobrt.StateRunning, c.LeaseSeq, c.Started, i
	}
}

func (m *model) refOf(j *modelJob) jobrt.Ref { return jobrt.Ref{ID: j.new.ID, LeaseSeq: j.seq} }

func (m *model) doStart() {
	j := m.pick(jobrt.StateRunning)
	if j == nil {
		return
	}
	m.note("start %s", j.new.ID)
	m.workers[j.owner].mustStart(m.refOf(j))
	j.started = true
}

// leave ends the claim of a job.
func (m *model) leave(j *modelJob) {
	j.old = append(j.old, m.refOf(j))
	j.started = false
}

// wait makes a job wait for its time.
func (m *model) wait(j *modelJob, hours int) time.Duration {
	d := time.Duration(hours) * time.Hour
	j.state, j.due = jobrt.StateScheduled, m.now+d
	return d
}

func (m *model) doFinish() {
	j := m.pick(jobrt.StateRunning)
	if j == nil {
		return
	}
	r := m.refOf(j)
	m.leave(j)
	var f jobrt.Finish
	switch m.rnd.IntN(7) {
	case 0:
		f, j.state = succeedWith(r, `{"ok":true}`), jobrt.StateSucceeded
	case 1:
		f, j.state = cancel(r), jobrt.StateCancelled
	case 2:
		j.state, j.reason = jobrt.StateDead, []jobrt.DeadReason{jobrt.DeadExhausted, jobrt.DeadPermanent, jobrt.DeadUndecodable}[m.rnd.IntN(3)]
		f = die(r, j.reason)
		j.records = -1 // whether an undecodable job has a record is left open
	case 3, 4:
		f = fail(r, m.wait(j, 1+m.rnd.IntN(3)))
		j.attempt++
		if j.records >= 0 {
			j.records++
		}
		j.vague = j.suspect
	case 5:
		f = snooze(r, m.wait(j, 1+m.rnd.IntN(3)))
		j.vague = j.suspect
	case 6:
		f, j.state = handBack(r), jobrt.StateReady
		j.vague = j.suspect
	}
	m.note("finish %s of %s under %d", f.Verdict, f.ID, f.LeaseSeq)
	m.mustFinish(f)
	if m.rnd.IntN(3) == 0 {
		m.note("finish it again")
		m.mustFinish(f)
	}
	if seq := m.job(f.ID).LeaseSeq; j.state.Live() && seq <= j.seq {
		m.Fatalf("finish %s: lease_seq of %s went from %d to %d", f.Verdict, f.ID, j.seq, seq)
	} else if j.state.Live() {
		j.seq = seq
	}
}

// doStale uses a claim that has ended.
func (m *model) doStale() {
	if len(m.jobs) == 0 {
		return
	}
	j := m.jobs[m.rnd.IntN(len(m.jobs))]
	if len(j.old) == 0 {
		return
	}
	r := j.old[m.rnd.IntN(len(j.old))]
	fs := everyVerdict(r)
	f := fs[m.rnd.IntN(len(fs))]
	m.note("old claim: finish %s of %s under %d", f.Verdict, f.ID, f.LeaseSeq)
	before := m.job(f.ID)
	if got := m.finish(f)[0]; got.Status != jobrt.Finished && got.Status != jobrt.FinishStale {
		m.Fatalf("finish %s of an old claim: %s", f.Verdict, statusText(got))
	}
	if got := m.workers[0].start(r); len(got) != 0 {
		m.Fatalf("start of an old claim: %v", got)
	}
	m.wantSame(before)
}

// doVanish replaces a worker by another that knows nothing of it.
func (m *model) doVanish() {
	i := m.rnd.IntN(len(m.workers))
	m.note("worker %d vanishes", i)
	m.workers[i].close()
	for _, j := range m.jobs {
		if j.state == jobrt.StateRunning && j.owner == i {
			j.owner = -1
		}
	}
	m.workers[i] = m.worker()
	m.doRescue()
}

// doAdopt gives a worker a new lease, and its jobs with it.
func (m *model) doAdopt() {
	i := m.rnd.IntN(len(m.workers))
	m.note("worker %d registers again", i)
	m.workers[i].register(m.workers[i].id)
}

func (m *model) doRescue() {
	m.note("rescue")
	got := m.rescue(m.ref)
	ready, quarantined := 0, 0
	for _, j := range m.jobs {
		if j.state != jobrt.StateRunning || j.owner >= 0 {
			continue
		}
		if j.started {
			if j.suspect {
				j.crashes++
			}
			if j.records >= 0 {
				j.records++
			}
		}
		m.leave(j)
		j.suspect, j.state = true, jobrt.StateReady
		if j.crashes == 3 {
			j.state, j.reason = jobrt.StateDead, jobrt.DeadQuarantined
			quarantined++
			continue
		}
		ready++
		if seq := m.job(j.new.ID).LeaseSeq; seq <= j.seq {
			m.Fatalf("rescue: lease_seq of %s went from %d to %d", j.new.ID, j.seq, seq)
		} else {
			j.seq = seq
		}
	}
	if got.Ready != ready || len(got.Quarantined) != quarantined {
		m.Fatalf("rescue: got %+v, want %d ready and %d in quarantine", got, ready, quarantined)
	}
}

func (m *model) doPromote() {
	m.note("promote")
	got := m.promote(m.ref)
	want := 0
	next := time.Duration(-1)
	for _, j := range m.jobs {
		if j.state != jobrt.StateScheduled {
			continue
		}
		if j.due <= m.now {
			j.state = jobrt.StateReady
			want++
		} else if next < 0 || j.due-m.now < next {
			next = j.due - m.now
		}
	}
	if got.Ready != want {
		m.Fatalf("promote: got %d, want %d", got.Ready, want)
	}
	if (got.Next < 0) != (next < 0) || got.Next > next {
		m.Fatalf("promote: next is %v, want at most %v", got.Next, next)
	}
}

// doAdvance lets some hours pass, in which the workers keep their leases by registering again.
func (m *model) doAdvance() {
	d := time.Duration(1+m.rnd.IntN(2))*time.Hour + 10*time.Minute
	m.note("%v pass", d)
	m.advance(d)
	m.now += d
	for _, w := range append(m.workers, m.ref) {
		w.register(w.id)
	}
}

func (m *model) doRetry() {
	var ids, want []jobrt.ID
	for range 1 + m.rnd.IntN(3) {
		j := m.pick(jobrt.StateDead, jobrt.StateDead, jobrt.StateScheduled, jobrt.StateReady, jobrt.StateRunning, jobrt.StateSucceeded)
		if j == nil || slices.Contains(ids, j.new.ID) {
			continue
		}
		ids = append(ids, j.new.ID)
		key := string(j.new.UniqueKey)
		switch {
		case j.state == jobrt.StateScheduled:
			j.state, j.due = jobrt.StateReady, m.now
		case j.state == jobrt.StateDead && (key == "" || m.holder(key) == nil):
			j.state, j.reason, j.attempt, j.crashes = jobrt.StateReady, "", 0, 0
			j.vague = true
			if key != "" {
				m.keys[key] = j
			}
		default:
			continue
		}
		want = append(want, j.new.ID)
	}
	m.note("retry %v: %v", ids, want)
	got, err := m.tryRetry(ids)
	if err != nil && len(got) == len(ids) {
		m.Fatalf("retry: all changed, and %v", err)
	}
	wantSameIDs(m, "retried", got, want)
}

// doRevive brings undecodable jobs back for a newer schema of their kind.
func (m *model) doRevive() {
	want := 0
	for _, j := range m.jobs {
		key := string(j.new.UniqueKey)
		if j.state == jobrt.StateDead && j.reason == jobrt.DeadUndecodable && j.new.Kind == kindB {
			if key != "" {
				return // which of several dead jobs takes a key is left open
			}
			want++
		}
	}
	m.note("revive %d", want)
	got, err := m.ref.session.Revive(m.ctx, map[string]string{kindB: "fedcba9876543210"})
	if err != nil || got != want {
		m.Fatalf("revive: %d, %v; want %d", got, err, want)
	}
	for _, j := range m.jobs {
		if j.state == jobrt.StateDead && j.reason == jobrt.DeadUndecodable && j.new.Kind == kindB {
			j.state, j.reason, j.vague = jobrt.StateReady, "", true
			j.attempt = m.job(j.new.ID).Attempt // whether the attempt that did not decode was charged is left open
		}
	}
}

// compareAll compares every job of the store with the model.
func (m *model) compareAll() {
	m.Helper()
	for _, j := range m.jobs {
		info := m.job(j.new.ID)
		if info.State != j.state || info.Reason != j.reason {
			m.Fatalf("job %s is %s %s, want %s %s", j.new.ID, info.State, info.Reason, j.state, j.reason)
		}
		if j.state != jobrt.StateDead && info.Attempt != j.attempt || info.Crashes != j.crashes {
			m.Fatalf("job %s (%s): attempt %d, crashes %d; want %d, %d", j.new.ID, j.state, info.Attempt, info.Crashes, j.attempt, j.crashes)
		}
		if j.records >= 0 && len(info.Attempts) != j.records {
			m.Fatalf("job %s (%s): %d attempts on record, want %d", j.new.ID, j.state, len(info.Attempts), j.records)
		}
		if j.state == jobrt.StateRunning && info.LeaseSeq != j.seq {
			m.Fatalf("job %s: lease_seq %d, want %d", j.new.ID, info.LeaseSeq, j.seq)
		}
		if want := (jobrt.ID{}); j.state == jobrt.StateRunning {
			if want = m.workers[j.owner].id; info.Worker != want {
				m.Fatalf("job %s: worker %s, want %s", j.new.ID, info.Worker, want)
			}
		}
	}
	if got := len(m.env.jobs(jobrt.Filter{Limit: 1000})); got != min(len(m.jobs), 1000) {
		m.Fatalf("%d jobs are listed, want %d", got, len(m.jobs))
	}
}
