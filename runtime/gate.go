package jobrt

import (
	"sync"
	"time"
)

// gate keeps a suspect, a job whose worker vanished, apart from all other jobs of this process: if it takes the process
// down again, the crash is its own. While a suspect waits or runs nothing else starts; running handlers are let finish.
type gate struct {
	mu      sync.Mutex
	changed *sync.Cond
	running int // handlers, the suspect included
	waiting int // suspects that wait or run
	closed  bool
}

func newGate() *gate {
	g := &gate{}
	g.changed = sync.NewCond(&g.mu)
	return g
}

// enter lets one handler start, unless a suspect waits or runs.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting > 0 {
		return false
	}
	g.running++
	return true
}

// leave ends what enter began.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	g.changed.Broadcast()
}

// announce holds back the starts of others for a suspect; enterAlone must follow.
func (g *gate) announce() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting++
}

// entry is how a suspect's wait ended.
type entry int

const (
	entered    entry = iota // nothing else runs; leaveAlone must follow
	outOfTime               // something else still runs; nothing is held back any more
	gateClosed              // the pool stops; nothing is held back any more
)

// enterAlone waits until nothing else runs, for as long as patience lasts: a handler that hangs must not keep the
// others from starting for ever.
func (g *gate) enterAlone(patience time.Duration) entry {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := false
	timer := time.AfterFunc(patience, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		out = true
		g.changed.Broadcast()
	})
	defer timer.Stop()
	for g.running > 0 && !g.closed && !out {
		g.changed.Wait()
	}
	if g.running == 0 && !g.closed {
		g.running++
		return entered
	}
	g.waiting--
	g.changed.Broadcast()
	if g.closed {
		return gateClosed
	}
	return outOfTime
}

// leaveAlone ends what enterAlone began.
func (g *gate) leaveAlone() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	g.waiting--
	g.changed.Broadcast()
}

// open reports whether a handler could start.
func (g *gate) open() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting == 0
}

// close makes suspects that wait give up.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.changed.Broadcast()
}

// count returns how many handlers run.
func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running
}
