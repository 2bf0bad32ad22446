package admit

import (
	"cmp"
	"context"
	"slices"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Source is what a store tells of the jobs and limits that a claim is about. It is asked while the limits of the
// request are locked.
type Source interface {
	// InQueue counts what runs in the queue, Of what runs of a kind under any of its names.
	InQueue(ctx context.Context) (int, error)
	Of(ctx context.Context, k *jobrt.KindBound) (int, error)
	// Started tells what a counter's rate still sees.
	Started(ctx context.Context, counter string, r jobrt.Rate) (Started, error)
	// Ready lists the first ready jobs of the queue under a stored name, most at the most.
	Ready(ctx context.Context, name string, most int) ([]Candidate, error)
	// Keys lists keys that have ready jobs in the queue under a stored name, in order: those behind after and, unless it
	// is empty, up to and with until.
	Keys(ctx context.Context, k *jobrt.KindBound, name string, w Walk) ([]Key, error)
}

// Started is how many starts a rate sees, and how long until it forgets the first of them.
type Started struct {
	N    int
	Wait time.Duration
}

// Walk says which keys to list.
type Walk struct {
	After, Until string
	// Keys is how many, Each how many candidates of each.
	Keys, Each int
}

// Key is one key with ready jobs.
type Key struct {
	Name    string
	Running int
	Started Started
	// Held is set, of a serial kind, when a job of the key has begun and is not ready.
	Held bool
	// Candidates, of a serial kind, is the one whose turn it is, if it is ready in the queue under the name: among those
	// that have begun the one made first, in whatever queue and under whatever name, and if none has the one due first.
	Candidates []Candidate
}

// Start notes that jobs start under a counter with a rate. Key is empty for one that takes all keys together.
type Start struct {
	Counter, Key string
	Rate         jobrt.Rate
}

// Plan is what a claim takes.
type Plan struct {
	Picked []Candidate
	// Cursors are the keys after which the next claims go on, by counter.
	Cursors map[string]string
	// Wait and More are those of jobrt.LimitedClaim.
	Wait time.Duration
	More bool
}

// QueueCounter names the limits of a queue, KindCounter those of a kind.
func QueueCounter(queue string) string      { return "queue:" + queue }
func KindCounter(k *jobrt.KindBound) string { return "kind:" + k.Names[0] }

// Counters are the limits that a request has to lock, each once and in one order for everybody.
func Counters(r *jobrt.LimitedRequest) []string {
	var names []string
	for i := range r.Kinds {
		if !r.Kinds[i].None() {
			names = append(names, KindCounter(&r.Kinds[i]))
		}
	}
	if !r.Whole.None() {
		names = append(names, QueueCounter(r.Queue))
	}
	return sorted(names)
}

// Starts are the counters that the start of one job of a request's kind counts for.
func Starts(r *jobrt.LimitedRequest, k *jobrt.KindBound, key string) []Start {
	var starts []Start
	if r.Whole.Rate.N > 0 {
		starts = append(starts, Start{Counter: QueueCounter(r.Queue), Rate: r.Whole.Rate})
	}
	if k.Rate.N > 0 {
		s := Start{Counter: KindCounter(k), Rate: k.Rate}
		if k.RatePerKey {
			s.Key = key
		}
		starts = append(starts, s)
	}
	return starts
}

// planner is one claim.
type planner struct {
	src  Source
	r    *jobrt.LimitedRequest
	plan Plan
}

// Decide chooses the jobs that a request gets. cursors are the keys that had the last turn, by counter.
func Decide(ctx context.Context, src Source, r *jobrt.LimitedRequest, cursors map[string]string) (Plan, error) {
	p := &planner{src: src, r: r, plan: Plan{Cursors: make(map[string]string), Wait: -1}}
	most, err := p.queueRoom(ctx)
	if err != nil || most == 0 {
		return p.plan, err
	}
	lines := make([]Line, len(r.Kinds))
	waits := make([]time.Duration, len(r.Kinds)) // until the kind's rate lets one more start
	for i := range r.Kinds {
		if lines[i], waits[i], err = p.line(ctx, &r.Kinds[i], most, cursors[KindCounter(&r.Kinds[i])]); err != nil {
			return p.plan, err
		}
	}
	for i, n := range Take(lines, most) {
		p.plan.Picked = append(p.plan.Picked, lines[i].Candidates[:n]...)
		k := &r.Kinds[i]
		if k.Keyed() && n > 0 {
			p.plan.Cursors[KindCounter(k)] = lines[i].Candidates[n-1].Key
		}
		if waits[i] > 0 {
			p.waits(waits[i])
		}
	}
	return p.plan, nil
}

func (p *planner) waits(d time.Duration) {
	if p.plan.Wait < 0 || d < p.plan.Wait {
		p.plan.Wait = d
	}
}

// queueRoom is how many jobs of the queue may start, whatever kind they are.
func (p *planner) queueRoom(ctx context.Context) (int, error) {
	room, wait, err := p.room(ctx, p.r.Whole, QueueCounter(p.r.Queue), p.src.InQueue)
	if room == 0 && wait > 0 {
		p.waits(wait)
	}
	return min(room, p.r.Limit), err
}

// room is what a bound leaves, and how long until its rate leaves more when it is the rate that leaves nothing.
func (p *planner) room(ctx context.Context, b jobrt.Bound, counter string, running func(context.Context) (int, error)) (int, time.Duration, error) {
	n := 0
	var started Started
	var err error
	if b.Concurrency > 0 {
		if n, err = running(ctx); err != nil {
			return 0, 0, err
		}
	}
	if b.Rate.N > 0 {
		if started, err = p.src.Started(ctx, counter, b.Rate); err != nil {
			return 0, 0, err
		}
	}
	room := Room(b, n, started.N)
	if b.Rate.N > 0 && started.N >= b.Rate.N {
		return room, started.Wait, nil
	}
	return room, 0, nil
}

// line lists what of a kind may be taken, at most most. wait is how long until its rate, of the whole kind or of a key,
// leaves more; zero when no rate is in the way.
func (p *planner) line(ctx context.Context, k *jobrt.KindBound, most int, cursor string) (l Line, wait time.Duration, err error) {
	all := k.Bound
	if k.ConcurrencyPerKey {
		all.Concurrency = 0
	}
	if k.RatePerKey {
		all.Rate = jobrt.Rate{}
	}
	room, wait, err := p.room(ctx, all, KindCounter(k), func(ctx context.Context) (int, error) { return p.src.Of(ctx, k) })
	if err != nil || room == 0 && wait == 0 {
		return l, 0, err
	}
	l.Room = room
	if room == 0 { // only the rate is in the way: whether somebody waits for it
		waiting, err := p.ready(ctx, k, 1)
		if len(waiting) == 0 {
			wait = 0
		}
		return l, wait, err
	}
	if k.Keyed() {
		var keyWait time.Duration
		l.Candidates, keyWait, err = p.turns(ctx, k, most, cursor)
		if wait == 0 {
			wait = keyWait
		}
	} else {
		l.Candidates, err = p.ready(ctx, k, min(most, room))
	}
	return l, wait, err
}

// ready lists the ready jobs of a kind without keys, under all its names.
func (p *planner) ready(ctx context.Context, k *jobrt.KindBound, most int) ([]Candidate, error) {
	var all []Candidate
	for _, name := range k.Claimable() {
		found, err := p.src.Ready(ctx, name, most)
		if err != nil {
			return nil, err
		}
		all = merge(all, found)
	}
	return all[:min(len(all), most)], nil
}

// keysPer is how many keys a claim looks at for each job that it may take, and keysMore how many besides: most keys of
// a full house are taken, so it pays to look at more than are needed.
const (
	keysPer  = 4
	keysMore = 16
)

// turns lists the ready jobs of a kind with keys as they take turns, from the key behind cursor on. wait is how long
// until the rate of the first key that waits for that alone leaves more.
func (p *planner) turns(ctx context.Context, k *jobrt.KindBound, most int, cursor string) ([]Candidate, time.Duration, error) {
	budget := keysPer*most + keysMore
	each := most
	if k.ConcurrencyPerKey && k.Concurrency > 0 {
		each = min(each, k.Concurrency)
	}
	if k.RatePerKey && k.Rate.N > 0 {
		each = min(each, k.Rate.N)
	}
	if k.Serial {
		each = 1
	}
	walks := []Walk{{After: cursor, Keys: budget, Each: each}}
	if cursor != "" {
		walks = append(walks, Walk{Until: cursor, Each: each})
	}
	var keys []Key
	for _, w := range walks {
		if w.Keys = budget - len(keys); w.Keys <= 0 {
			break
		}
		found, err := p.keys(ctx, k, w)
		if err != nil {
			return nil, 0, err
		}
		keys = append(keys, found...)
	}
	var turns [][]Candidate
	wait := time.Duration(0)
	for i := range keys {
		room, keyWait := keyRoom(k, &keys[i])
		if room == 0 && keyWait > 0 && (wait == 0 || keyWait < wait) {
			wait = keyWait
		}
		turns = append(turns, keys[i].Candidates[:min(room, len(keys[i].Candidates))])
	}
	if len(keys) >= budget {
		p.plan.More = true
		p.plan.Cursors[KindCounter(k)] = keys[len(keys)-1].Name // unless something is taken
	}
	return Turn(turns), wait, nil
}

// keys lists the keys of a walk under all names of a kind: the first of all, so that the next walk goes on behind them.
func (p *planner) keys(ctx context.Context, k *jobrt.KindBound, w Walk) ([]Key, error) {
	var all []Key
	at := make(map[string]int)
	for _, name := range k.Claimable() {
		found, err := p.src.Keys(ctx, k, name, w)
		if err != nil {
			return nil, err
		}
		for _, key := range found {
			i, known := at[key.Name]
			if !known {
				at[key.Name] = len(all)
				all = append(all, key)
				continue
			}
			all[i].Candidates = merge(all[i].Candidates, key.Candidates)[:min(w.Each, len(all[i].Candidates)+len(key.Candidates))]
		}
	}
	slices.SortFunc(all, func(a, b Key) int { return cmp.Compare(a.Name, b.Name) })
	return all[:min(len(all), w.Keys)], nil
}

// keyRoom is how many jobs of a key may start, and how long until its rate leaves more when that alone is in the way.
func keyRoom(k *jobrt.KindBound, key *Key) (int, time.Duration) {
	if key.Held {
		return 0, 0
	}
	var b jobrt.Bound
	if k.ConcurrencyPerKey {
		b.Concurrency = k.Concurrency
	}
	if k.Serial {
		b.Concurrency = 1
	}
	if Room(b, key.Running, 0) == 0 {
		return 0, 0
	}
	if k.RatePerKey {
		b.Rate = k.Rate
	}
	room := Room(b, key.Running, key.Started.N)
	if room == 0 {
		return 0, key.Started.Wait
	}
	return room, 0
}
