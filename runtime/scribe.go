package jobrt

import (
	"context"
	"slices"
	"sync"
	"time"
)

// scribe stores what attempts note: of running ones each second, and of an attempt that has ended before its end is
// written, so that whoever sees the end sees all that was noted. It never blocks a handler, and a store that does not
// take notes delays an end by one try.
type scribe struct {
	pool *Pool

	mu      sync.Mutex
	running map[*attempt]bool // that have something to store
	ended   []endedAttempt
	late    []Note // of attempts whose ends have been passed on already
	size    int    // of late, in bytes
	lost    int    // notes given up since the last complaint
	closed  bool
	changed chan struct{}
	done    chan struct{}
}

type endedAttempt struct {
	a *attempt
	f Finish
}

const (
	// noteEvery is how often the notes of running attempts are stored.
	noteEvery = time.Second
	// noteTimeout bounds one call, which the ends of attempts may wait for.
	noteTimeout = 2 * time.Second
	// noteMost and noteBytes bound what one call stores.
	noteMost  = 500
	noteBytes = 1 << 20
	// lateMost and lateBytes bound what is kept, of attempts that have ended, for a store that does not take notes.
	lateMost  = 1000
	lateBytes = 16 << 20
)

func newScribe(p *Pool) *scribe {
	return &scribe{pool: p, running: make(map[*attempt]bool), changed: make(chan struct{}, 1), done: make(chan struct{})}
}

// due tells that a running attempt has something to store. It never blocks.
func (s *scribe) due(a *attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.running[a] {
		return
	}
	s.running[a] = true
	if len(s.running) == 1 {
		s.wake()
	}
}

// end passes on how an attempt has ended, once what it has noted is stored. It never blocks.
func (s *scribe) end(a *attempt, f Finish) {
	some, open := a.notes.end(a.ref, a.info.Attempt)
	if !some {
		s.pool.finisher.add(f)
		return
	}
	s.mu.Lock()
	delete(s.running, a)
	if open && !s.closed {
		s.ended = append(s.ended, endedAttempt{a, f})
		s.wake()
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	s.pool.finisher.add(f)
}

func (s *scribe) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// run stores until stop.
func (s *scribe) run() {
	defer close(s.done)
	next := time.NewTimer(noteEvery)
	defer next.Stop()
	for {
		s.mu.Lock()
		idle, closed := len(s.running) == 0 && len(s.late) == 0, s.closed
		if len(s.ended) > 0 || closed {
			s.mu.Unlock()
			s.store()
			if closed {
				return
			}
			continue
		}
		s.mu.Unlock()
		if idle {
			<-s.changed
			next.Reset(noteEvery)
			continue
		}
		select {
		case <-s.changed: // an end, or the stop
		case <-next.C:
			s.store()
			next.Reset(noteEvery)
		}
	}
}

// stop stores what there is, once, and passes on all ends. Ends that come later are passed on at once.
func (s *scribe) stop() {
	s.mu.Lock()
	s.closed = true
	s.wake()
	s.mu.Unlock()
	<-s.done
}

// store takes what has been noted and stores it. Ends are passed on whether that succeeds or not.
func (s *scribe) store() {
	s.mu.Lock()
	ended, late := s.ended, s.late
	from := make(map[Ref]*attempt, len(s.running))
	s.ended, s.late, s.size = nil, nil, 0
	var batch []Note
	for _, e := range ended {
		if note, some := e.a.notes.take(e.a.ref); some {
			batch = append(batch, note)
		}
	}
	for a := range s.running {
		if note, some := a.notes.take(a.ref); some {
			batch = append(batch, note)
			from[a.ref] = a
		}
	}
	clear(s.running)
	s.mu.Unlock()
	refused := s.send(append(batch, late...))
	for _, e := range ended {
		s.pool.finisher.add(e.f)
	}
	s.keep(refused, from)
}

// send stores notes in order, and returns those that the store did not take. After one failure it does not ask again.
func (s *scribe) send(batch []Note) []Note {
	for len(batch) > 0 {
		n, size := 0, 0
		for n < len(batch) && n < noteMost && size < noteBytes {
			size += noteSize(&batch[n])
			n++
		}
		err := s.note(batch[:n])
		if err != nil && transient(err) {
			return batch
		}
		if err != nil { // one of them is refused: that one is given up
			for i := range n {
				if err := s.note(batch[i : i+1]); err != nil && transient(err) {
					return batch[i:]
				} else if err != nil {
					s.pool.log.Error("what a job has noted cannot be stored; it is given up", "id", batch[i].ID, "err", err)
				}
			}
		}
		batch = batch[n:]
	}
	return nil
}

func noteSize(n *Note) int {
	size := 100
	for i := range n.Lines {
		size += 100 + len(n.Lines[i].Message) + len(n.Lines[i].Attrs)
	}
	return size
}

func (s *scribe) note(batch []Note) error {
	ctx, cancel := context.WithTimeout(context.Background(), noteTimeout)
	defer cancel()
	batch = slices.SortedFunc(slices.Values(batch), func(a, b Note) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return s.pool.store.Note(ctx, batch)
}

// keep saves for the next time what was not stored.
func (s *scribe) keep(refused []Note, from map[Ref]*attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, note := range refused {
		a := from[note.Ref]
		delete(from, note.Ref)
		switch {
		case a != nil:
			a.notes.putBack(note)
			if !s.closed {
				s.running[a] = true
			}
		case len(s.late) < lateMost && s.size < lateBytes && !s.closed:
			s.late = append(s.late, note)
			s.size += noteSize(&note)
		default:
			s.lost++
		}
	}
	for _, a := range from {
		a.notes.sent()
	}
	if s.lost > 0 && (s.closed || len(refused) == 0) {
		s.pool.log.Error("notes of jobs are lost, because the store did not take them", "attempts", s.lost)
		s.lost = 0
	}
}
