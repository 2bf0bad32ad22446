package graph

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// style holds colours for light and dark surroundings. Text is in a font whose
// width is known, because nodes are as wide as their text.
const style = `text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#1f2328}
.title{font-size:15px;font-weight:bold}.queue{font-weight:bold}.about,.label{fill:#59636e}.label{font-size:10px}.queue,.about,.label{paint-order:stroke;stroke:#f6f8fa;stroke-width:4px;stroke-linejoin:round}
.page{fill:#ffffff}.lane{fill:#f6f8fa;stroke:#d1d9e0}
.job{fill:#ffffff;stroke:#0969da;stroke-width:1.5}.schedule{fill:#fff8c5;stroke:#9a6700}
.edge{fill:none;stroke:#59636e;stroke-width:1.5}.failure{stroke:#cf222e;stroke-dasharray:6 3}.clock{stroke:#9a6700;stroke-dasharray:2 3}
.head{fill:#59636e}.head.failure{fill:#cf222e;stroke:none}.head.clock{fill:#9a6700;stroke:none}
@media (prefers-color-scheme:dark){text{fill:#f0f6fc}.about,.label{fill:#b0bac5}.queue,.about,.label{stroke:#151b23}.page{fill:#0d1117}.lane{fill:#151b23;stroke:#3d444d}.job{fill:#0d1117;stroke:#4493f8}.schedule{fill:#272115;stroke:#d29922}.edge{stroke:#9198a1}.edge.failure{stroke:#f85149}.edge.clock{stroke:#d29922}.head{fill:#9198a1}.head.failure{fill:#f85149}.head.clock{fill:#d29922}}
`

// SVG returns the graph as a picture that stands alone: no scripts, no links,
// no fonts.
func (g *Graph) SVG() []byte {
	l := arrange(g)
	var b bytes.Buffer
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" role=\"img\">\n", l.width, l.height, l.width, l.height)
	fmt.Fprintf(&b, "<title>%s</title>\n<style>\n%s</style>\n", escape(g.Title), style)
	b.WriteString("<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n")
	fmt.Fprintf(&b, "<text class=\"title\" x=\"%d\" y=\"%d\">%s</text>\n", margin, margin+15, escape(g.Title))
	for _, ln := range l.lanes {
		fmt.Fprintf(&b, "<g><title>%s</title><rect class=\"lane\" x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"8\"/></g>\n", escape(strings.TrimSuffix("queue "+ln.queue.Name+"\n"+ln.queue.About, "\n")), margin, ln.y, l.width-2*margin, ln.h)
	}
	for _, r := range l.routes {
		drawRoute(&b, r)
	}
	for _, ln := range l.lanes { // on top of the edges that pass
		fmt.Fprintf(&b, "<text x=\"%d\" y=\"%.1f\"><tspan class=\"queue\">%s</tspan>", margin+lanePad, ln.y+21, escape(ln.queue.Name))
		if ln.queue.About != "" {
			fmt.Fprintf(&b, "<tspan class=\"about\" dx=\"14\">%s</tspan>", escape(ln.queue.About))
		}
		b.WriteString("</text>\n")
	}
	for _, q := range g.Queues {
		for _, n := range q.Nodes {
			drawNode(&b, l.nodes[n.ID])
		}
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func drawNode(b *bytes.Buffer, at *box) {
	class, radius := "job", 6.0
	if at.node.Schedule {
		class, radius = "schedule", nodeHeight/2
	}
	fmt.Fprintf(b, "<g><title>%s</title><rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"%.0f\"/>", escape(strings.Join(at.node.About, "\n")), class, at.x, at.y, at.w, at.h, radius)
	fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text></g>\n", at.x+at.w/2, at.y+at.h/2+4, escape(shorten(at.node.Label)))
}

// drawRoute draws an edge as curves that leave and enter boxes level, and bend
// in the gaps between columns only.
func drawRoute(b *bytes.Buffer, r route) {
	from, to := r.via[0], r.via[len(r.via)-1]
	x, y := from.x+from.w, from.y+from.h/2
	endX, endY := to.x-7, to.y+to.h/2
	path := fmt.Sprintf("M%.1f %.1f", x, y)
	labelX, labelY, y0 := x, y, y
	if r.back { // below both ends, and in again from the left
		low := max(from.y+from.h, to.y+to.h) + rowGap/2
		path += fmt.Sprintf("C%.1f %.1f %.1f %.1f %.1f %.1fL%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f", x+34, y, x+34, low, x, low, to.x, low, to.x-40, low, to.x-40, endY, endX, endY)
		labelX, labelY = (x+to.x)/2, low
	} else {
		for _, p := range r.via[1:] {
			if p == to {
				labelX, labelY = (from.right+endX)/2, y+(endY-y)*0.8 // near the end, where edges have parted
				if len(r.via) > 2 {
					labelX = (r.via[len(r.via)-2].right + endX) / 2
				}
			}
			inX, inY := p.x, p.y+p.h/2
			if p == to {
				inX = endX
			}
			start := x
			if last := previous(r.via, p); last.right > x {
				start = last.right
				path += fmt.Sprintf("L%.1f %.1f", start, y)
			}
			bend := (inX - start) / 2
			path += fmt.Sprintf("C%.1f %.1f %.1f %.1f %.1f %.1f", start+bend, y, inX-bend, inY, inX, inY)
			x, y = inX, inY
		}
	}
	if rise := endY - y0; !r.back && rise < 30 && rise > -30 {
		labelY = min(y0, endY) - 10
	}
	class := map[bool]string{true: " failure"}[r.edge.Failure] + map[bool]string{true: " clock"}[r.edge.Schedule]
	about := nameOf(from) + " → " + nameOf(to)
	if r.edge.Label != "" {
		about += ": " + r.edge.Label
	}
	fmt.Fprintf(b, "<g><title>%s</title><path class=\"edge%s\" d=\"%s\"/><path class=\"head%s\" d=\"M%.1f %.1fl-8 -4v8z\"/>", escape(about), class, path, class, endX+7, endY)
	if r.edge.Label != "" && r.edge.Label != parentLabels[model.ParentValue] { // the usual goes without saying
		fmt.Fprintf(b, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>", labelX, labelY+3, escape(r.edge.Label))
	}
	b.WriteString("</g>\n")
}

func previous(via []*box, b *box) *box { return via[slices.Index(via, b)-1] }

func nameOf(b *box) string { return b.node.Label }

// escape makes text safe in XML; what XML can't hold becomes U+FFFD.
func escape(text string) string {
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(text)); err != nil {
		return ""
	}
	return b.String()
}
