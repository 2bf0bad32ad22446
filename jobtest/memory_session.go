package jobtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// session is one worker process's part of a Memory.
type session struct {
	m    *Memory
	info jobrt.WorkerInfo
}

var _ jobrt.Session = (*session)(nil)

// Open starts a worker's session.
func (m *Memory) Open(ctx context.Context, w jobrt.WorkerInfo) (jobrt.Session, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	if w.LeaseTTL <= 0 {
		return nil, fmt.Errorf("memory store: open session: LeaseTTL %v is not positive", w.LeaseTTL)
	}
	w.Queues, w.Kinds = slices.Clone(w.Queues), slices.Clone(w.Kinds)
	return &session{m: m, info: w}, nil
}

func (s *session) Register(ctx context.Context, previous jobrt.ID) (jobrt.ID, error) {
	if err := asked(ctx); err != nil {
		return jobrt.ID{}, err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	id := jobrt.NewID()
	now := s.m.now()
	s.m.workers[id] = &workerRow{info: s.info, started: now, renewed: now, until: now.Add(s.info.LeaseTTL)}
	if previous.IsZero() {
		return id, nil
	}
	delete(s.m.workers, previous)
	s.m.moveOverrides(previous, id)
	for _, r := range s.m.live {
		if r.info.State == jobrt.StateRunning && r.info.Worker == previous {
			r.info.Worker = id
		}
	}
	return id, nil
}

func (s *session) Renew(ctx context.Context, worker jobrt.ID) error {
	if err := asked(ctx); err != nil {
		return err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	now := s.m.now()
	if !s.m.alive(worker, now) {
		return fmt.Errorf("memory store: renew worker %s: %w", worker, jobrt.ErrLeaseLost)
	}
	w := s.m.workers[worker]
	w.renewed, w.until = now, now.Add(s.info.LeaseTTL)
	return nil
}

func (s *session) Claim(ctx context.Context, req jobrt.ClaimRequest) ([]jobrt.ClaimedJob, error) {
	return s.claim(ctx, req, func(*row) bool { return true })
}

// claim takes the ready jobs that also want accepts.
func (s *session) claim(ctx context.Context, req jobrt.ClaimRequest, want func(*row) bool) ([]jobrt.ClaimedJob, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	now := s.m.now()
	if !s.m.alive(req.Worker, now) {
		return nil, fmt.Errorf("memory store: claim for worker %s: %w", req.Worker, jobrt.ErrLeaseLost)
	}
	var jobs []jobrt.ClaimedJob
	waiting := s.m.ready[req.Queue]
	left := 0 // of waiting, those that stay
	for i, r := range waiting {
		if len(jobs) >= req.Limit {
			left += copy(waiting[left:], waiting[i:])
			break
		}
		if !slices.Contains(req.Kinds, r.info.Kind) || len(r.pins) > 0 || !want(r) {
			waiting[left] = r
			left++
			continue
		}
		jobs = append(jobs, s.m.hand(r, req.Worker, len(jobs) < req.Start, now))
	}
	clear(waiting[left:])
	s.m.ready[req.Queue] = waiting[:left]
	return jobs, nil
}

// hand gives a ready job to a worker. start marks it as started, but for a suspect.
func (m *Memory) hand(r *row, worker jobrt.ID, start bool, now time.Time) jobrt.ClaimedJob {
	r.info.State, r.info.Worker = jobrt.StateRunning, worker
	r.info.LeaseSeq++
	if start && !r.suspect {
		r.started, r.startedAt = true, now
	}
	job := r.claimed()
	job.Expired = r.expired(now)
	return job
}

func (r *row) claimed() jobrt.ClaimedJob {
	i := &r.info
	var parents []jobrt.ParentOutcome
	for _, e := range r.parents {
		if e.Slot != jobrt.SlotNone {
			parents = append(parents, e.outcome())
		}
	}
	return jobrt.ClaimedJob{
		Ref: jobrt.Ref{ID: i.ID, LeaseSeq: i.LeaseSeq}, Service: i.Service, Kind: i.Kind, Queue: i.Queue,
		Priority: i.Priority, RunAt: i.RunAt, CreatedAt: i.CreatedAt, Args: slices.Clone(i.Args),
		ArgsSchema: r.argsSchema, Attempt: i.Attempt, MaxRetries: i.MaxRetries, Crashes: i.Crashes,
		Suspect: r.suspect, Started: r.started, Timeout: r.timeout, KeepResult: i.KeepResult,
		Tags: slices.Clone(i.Tags), Origin: i.Origin, Batch: i.Batch, Parents: parents,
		Trace: i.Trace, LimitKey: i.LimitKey,
	}
}

func (s *session) Held(ctx context.Context, worker jobrt.ID) ([]jobrt.Ref, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	var refs []jobrt.Ref
	for _, r := range s.m.sortedLive(jobrt.StateRunning) {
		if r.info.Worker == worker {
			refs = append(refs, jobrt.Ref{ID: r.info.ID, LeaseSeq: r.info.LeaseSeq})
		}
	}
	return refs, nil
}

func (s *session) Start(ctx context.Context, refs []jobrt.Ref) ([]jobrt.Ref, error) {
	if err := asked(ctx); err != nil {
		return nil, err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	var ours []jobrt.Ref
	for _, ref := range refs {
		r := s.m.live[ref.ID]
		if r == nil || r.info.State != jobrt.StateRunning || r.info.LeaseSeq != ref.LeaseSeq {
			continue
		}
		if !r.started {
			r.started, r.startedAt = true, s.m.now()
		}
		ours = append(ours, ref)
	}
	return ours, nil
}

// quarantineAfter is the number of counted crashes that makes a job dead.
const quarantineAfter = 3

func (s *session) Rescue(ctx context.Context, limit int) (jobrt.Rescued, error) {
	if err := asked(ctx); err != nil {
		return jobrt.Rescued{}, err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	now := s.m.now()
	var result jobrt.Rescued
	queues := make(map[string]bool)
	for _, r := range s.m.sortedLive(jobrt.StateRunning) {
		if s.m.alive(r.info.Worker, now) || r.locked != nil {
			continue
		}
		if limit--; limit < 0 {
			break
		}
		quarantined := s.m.rescue(r, now)
		if quarantined {
			result.Quarantined = append(result.Quarantined, jobrt.Ref{ID: r.info.ID, LeaseSeq: r.info.LeaseSeq})
		} else if r.info.State == jobrt.StateReady {
			result.Ready++
			queues[r.info.Queue] = true
		}
	}
	result.Queues = sortedKeys(queues)
	return result, nil
}

// rescue takes one job back and reports whether that has put it into quarantine.
func (m *Memory) rescue(r *row, now time.Time) (quarantined bool) {
	if r.started {
		if r.suspect {
			r.info.Crashes++
		}
		r.info.Error = "worker vanished"
		r.info.Attempts = append(r.info.Attempts, jobrt.AttemptInfo{
			LeaseSeq: r.info.LeaseSeq, Attempt: r.info.Attempt + 1, Outcome: "crashed", Error: r.info.Error,
			Worker: r.info.Worker, StartedAt: r.startedAt, Ran: now.Sub(r.startedAt), EndedAt: now,
		})
	}
	m.leave(r)
	r.suspect = true
	if r.info.Crashes >= quarantineAfter {
		r.info.Reason = jobrt.DeadQuarantined
		m.end(r, jobrt.StateDead, now)
		return true
	}
	if why := r.cancelling(); why != "" {
		r.info.Error = why
		m.end(r, jobrt.StateCancelled, now)
		return false
	}
	m.makeReady(r, r.info.RunAt)
	return false
}

func (s *session) Promote(ctx context.Context, limit int) (jobrt.Promoted, error) {
	if err := asked(ctx); err != nil {
		return jobrt.Promoted{}, err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return s.m.promote(s.m.now(), limit), nil
}

// promote makes up to limit scheduled jobs ready that are due.
func (m *Memory) promote(now time.Time, limit int) jobrt.Promoted {
	scheduled := m.sortedLive(jobrt.StateScheduled)
	slices.SortFunc(scheduled, func(a, b *row) int { return a.info.RunAt.Compare(b.info.RunAt) })
	result := jobrt.Promoted{Next: -1}
	queues := make(map[string]bool)
	for _, r := range scheduled {
		if result.Ready >= limit || r.info.RunAt.After(now) {
			result.Next = max(r.info.RunAt.Sub(now), 0)
			break
		}
		m.makeReady(r, r.info.RunAt)
		result.Ready++
		queues[r.info.Queue] = true
	}
	result.Queues = sortedKeys(queues)
	return result
}

func (s *session) TakeDuty(ctx context.Context, name string, every time.Duration) (bool, error) {
	if err := asked(ctx); err != nil {
		return false, err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	now := s.m.now()
	if now.Before(s.m.duties[name]) {
		return false, nil
	}
	s.m.duties[name] = now.Add(every)
	return true, nil
}

// dutyKeep is how long a duty that nobody takes is kept. One that is missing is due, as they are.
const dutyKeep = 24 * time.Hour

func (s *session) Maintain(ctx context.Context, r jobrt.Retention) error {
	if err := asked(ctx); err != nil {
		return err
	}
	if err := r.Check(); err != nil {
		return fmt.Errorf("memory store: %w", err)
	}
	keep := r.History
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	now := s.m.now()
	s.m.forgetJobs(r, now)
	s.m.dropBatches(now.Add(-keep))
	s.m.trimRuns(now.Add(-keep))
	s.m.forgetMerged(now.Add(-keep))
	s.m.forgetReplacements(now.Add(-keep))
	for id, w := range s.m.workers {
		if !now.Before(w.until) {
			if b := s.m.builds[buildKey{w.info.Service, w.info.Build}]; b != nil && w.renewed.After(b.last) {
				b.last = w.renewed
			}
			delete(s.m.workers, id)
		}
	}
	s.m.trimOverrides(now)
	s.m.trimBuilds(now)
	maps.DeleteFunc(s.m.duties, func(_ string, next time.Time) bool { return next.Before(now.Add(-dutyKeep)) })
	for key, u := range s.m.uniques {
		if !s.m.holds(s.m.jobs[u.holder]) && !now.Before(u.until) {
			delete(s.m.uniques, key)
		}
	}
	return nil
}

func (s *session) Revive(ctx context.Context, schemas map[string]string) (int, error) {
	if err := asked(ctx); err != nil {
		return 0, err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	now := s.m.now()
	n := 0
	for _, r := range s.m.jobs {
		current, known := schemas[r.info.Kind]
		if r.info.State != jobrt.StateDead || r.info.Reason != jobrt.DeadUndecodable || !known || current == r.deadSchema {
			continue
		}
		if r.uniqueKey != "" {
			if holder, held := s.m.keyHolder(r.uniqueKey); held && holder != r.info.ID || s.m.pendingKeys[r.uniqueKey] != nil {
				continue
			}
		}
		s.m.revive(r, now)
		n++
	}
	return n, nil
}

func (s *session) Close(_ context.Context, worker jobrt.ID) error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	delete(s.m.workers, worker)
	s.m.dropOverrides(worker)
	s.m.leaveBuild(s.info)
	return nil
}
