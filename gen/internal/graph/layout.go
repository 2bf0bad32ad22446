package graph

import (
	"cmp"
	"slices"
)

// The layout has a column for each step that a chain is long, from left to
// right, and a lane for each queue, from top to bottom. An edge that spans
// several columns keeps a bend, a place of its own, in each column between, so
// that it doesn't run across nodes.
type layout struct {
	nodes         map[string]*box
	lanes         []*lane
	routes        []route
	width, height float64
}

// box is a node or a bend with its place.
type box struct {
	node         *Node // nil for a bend
	lane, column int
	order        float64
	x, y, w, h   float64
	right        float64 // end of its column: edges stay level up to there, so that they pass no node
	prev, next   []*box
}

type lane struct {
	queue *Queue
	y, h  float64
	cells [][]*box // by column
}

// route is an edge with the boxes that it passes, ends included.
type route struct {
	edge Edge
	via  []*box
	back bool // against the direction of the columns
}

// Measures of the picture, in pixels.
const (
	textWidth  = 7.3 // of a character of the nodes' font
	nodeHeight = 30
	bendHeight = 12
	rowGap     = 14
	columnGap  = 86
	laneHead   = 34
	lanePad    = 14
	laneGap    = 14
	margin     = 16
	titleSpace = 34
	minColumns = 4
	maxLabel   = 38
)

func arrange(g *Graph) *layout {
	l := &layout{nodes: map[string]*box{}}
	for i := range g.Queues {
		q := &g.Queues[i]
		l.lanes = append(l.lanes, &lane{queue: q})
		for n := range q.Nodes {
			b := &box{node: &q.Nodes[n], lane: i, h: nodeHeight}
			b.w = float64(cells(shorten(b.node.Label)))*textWidth + 24
			l.nodes[b.node.ID] = b
		}
	}
	forward := l.columns(g)
	l.spread(g)
	l.bends(g, forward)
	l.sweep()
	l.place()
	return l
}

// columns puts each node that has an edge one column behind the last of those
// before it, and returns which edges go that way. Edges that close a cycle
// don't.
func (l *layout) columns(g *Graph) []bool {
	out := map[string][]int{}
	for i, e := range g.Edges {
		if l.nodes[e.From] != nil && l.nodes[e.To] != nil {
			out[e.From] = append(out[e.From], i)
		}
	}
	forward := make([]bool, len(g.Edges))
	const visiting, done = 1, 2
	state := map[string]int{}
	var sorted []string // each node after all it leads to
	var visit func(id string)
	visit = func(id string) {
		state[id] = visiting
		for _, i := range out[id] {
			to := g.Edges[i].To
			forward[i] = state[to] != visiting
			if state[to] == 0 {
				visit(to)
			}
		}
		state[id] = done
		sorted = append(sorted, id)
	}
	for _, q := range g.Queues {
		for _, n := range q.Nodes {
			if state[n.ID] == 0 {
				visit(n.ID)
			}
		}
	}
	for _, id := range slices.Backward(sorted) {
		for _, i := range out[id] {
			if forward[i] {
				to := l.nodes[g.Edges[i].To]
				to.column = max(to.column, l.nodes[id].column+1)
			}
		}
	}
	return forward
}

// spread fills the lanes: nodes with edges in their columns, the others where
// there is room.
func (l *layout) spread(g *Graph) {
	linked := map[string]bool{}
	count := minColumns
	for _, e := range g.Edges {
		linked[e.From], linked[e.To] = true, true
	}
	for _, b := range l.nodes {
		count = max(count, b.column+1)
	}
	for i, ln := range l.lanes {
		ln.cells = make([][]*box, count)
		var single []*box
		for n := range g.Queues[i].Nodes {
			b := l.nodes[g.Queues[i].Nodes[n].ID]
			if !linked[b.node.ID] {
				single = append(single, b)
				continue
			}
			ln.put(b)
		}
		for _, b := range single {
			for c := range ln.cells {
				if len(ln.cells[c]) < len(ln.cells[b.column]) {
					b.column = c
				}
			}
			ln.put(b)
		}
	}
}

func (ln *lane) put(b *box) {
	b.order = float64(len(ln.cells[b.column]))
	ln.cells[b.column] = append(ln.cells[b.column], b)
}

// bends adds the bends of long edges.
func (l *layout) bends(g *Graph, forward []bool) {
	for i, e := range g.Edges {
		from, to := l.nodes[e.From], l.nodes[e.To]
		if from == nil || to == nil {
			continue
		}
		r := route{edge: e, via: []*box{from}, back: !forward[i]}
		if forward[i] {
			last := from
			for c := from.column + 1; c < to.column; c++ {
				bend := &box{lane: to.lane, column: c, h: bendHeight}
				l.lanes[bend.lane].put(bend)
				last.next, bend.prev = append(last.next, bend), append(bend.prev, last)
				r.via = append(r.via, bend)
				last = bend
			}
			last.next, to.prev = append(last.next, to), append(to.prev, last)
		}
		r.via = append(r.via, to)
		l.routes = append(l.routes, r)
	}
}

// sweep orders the boxes of each cell by where their neighbours stand.
func (l *layout) sweep() {
	for pass := range 6 {
		for _, ln := range l.lanes {
			for i := range ln.cells {
				c := i
				if pass%2 == 1 {
					c = len(ln.cells) - 1 - i
				}
				for _, b := range ln.cells[c] {
					near := b.prev
					if pass%2 == 1 {
						near = b.next
					}
					if len(near) == 0 {
						continue
					}
					sum := 0.0
					for _, n := range near {
						sum += float64(n.lane)*1000 + n.order
					}
					b.order = sum/float64(len(near)) - float64(b.lane)*1000
				}
				slices.SortStableFunc(ln.cells[c], func(a, b *box) int { return cmp.Compare(a.order, b.order) })
				for n, b := range ln.cells[c] {
					b.order = float64(n)
				}
			}
		}
	}
}

// place gives each box its coordinates.
func (l *layout) place() {
	var widths []float64
	for _, ln := range l.lanes {
		for c, cell := range ln.cells {
			for len(widths) <= c {
				widths = append(widths, 0)
			}
			for _, b := range cell {
				widths[c] = max(widths[c], b.w)
			}
		}
	}
	left := make([]float64, len(widths))
	x := float64(margin + lanePad)
	for c, w := range widths {
		left[c] = x
		if w > 0 {
			x += w + columnGap
		}
	}
	l.width = max(x-columnGap+lanePad+margin, 420)
	y := float64(margin + titleSpace)
	for _, ln := range l.lanes {
		tallest := 0.0
		for _, cell := range ln.cells {
			tallest = max(tallest, stack(cell))
		}
		ln.y, ln.h = y, laneHead+tallest+lanePad
		for c, cell := range ln.cells {
			top := y + laneHead + (tallest-stack(cell))/2
			for _, b := range cell {
				b.x, b.y, b.right = left[c], top, left[c]+widths[c]
				if b.node == nil {
					b.w = widths[c]
				}
				top += b.h + rowGap
			}
		}
		y += ln.h + laneGap
		head := float64(cells(ln.queue.Name+"   "+ln.queue.About))*textWidth + 2*lanePad + 2*margin
		l.width = max(l.width, head)
	}
	l.height = y - laneGap + margin
}

// stack returns the height of boxes on top of each other.
func stack(boxes []*box) float64 {
	h := 0.0
	for i, b := range boxes {
		if i > 0 {
			h += rowGap
		}
		h += b.h
	}
	return h
}

// shorten cuts a label that would make a column too wide; the tooltip has all
// of it.
func shorten(label string) string {
	if cells(label) <= maxLabel {
		return label
	}
	n := 0
	runes := []rune(label)
	for i, r := range slices.Backward(runes) { // the end of a name tells more
		if n += cells(string(r)); n >= maxLabel {
			return "…" + string(runes[i+1:])
		}
	}
	return label
}

// cells returns how many columns of a terminal a text takes.
func cells(text string) int {
	n := 0
	for _, r := range text {
		n++
		if r >= 0x1100 && (r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 || r >= 0xf900 && r <= 0xfaff || r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 || r >= 0x1f300) {
			n++
		}
	}
	return n
}
