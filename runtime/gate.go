package jobrt

import "sync"

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

// announce holds back the starts of others for a suspect; enterAlone or withdraw must follow.
func (g *gate) announce() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting++
}

// enterAlone returns true when nothing else runs; false when the pool stops first, and then nothing is held back.
func (g *gate) enterAlone() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.running > 0 && !g.closed {
		g.changed.Wait()
	}
	if g.closed {
		g.waiting--
		g.changed.Broadcast()
		return false
	}
	g.running++
	return true
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
