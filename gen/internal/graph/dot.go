package graph

import (
	"bytes"
	"fmt"
	"strings"
)

// DOT returns the graph in the language of Graphviz.
func (g *Graph) DOT() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "digraph %s {\n", quote(g.Title))
	b.WriteString("\trankdir=LR\n\tgraph [fontname=\"sans-serif\"]\n\tnode [shape=box, style=rounded, fontname=\"monospace\", fontsize=11]\n\tedge [fontname=\"sans-serif\", fontsize=9]\n")
	for i, q := range g.Queues {
		fmt.Fprintf(&b, "\tsubgraph cluster_%d {\n\t\tlabel=%s\n", i, quote(strings.TrimSuffix(q.Name+"\n"+q.About, "\n")))
		for _, n := range q.Nodes {
			fmt.Fprintf(&b, "\t\t%s [label=%s, tooltip=%s%s]\n", quote(n.ID), quote(n.Label), quote(strings.Join(n.About, "\n")), map[bool]string{true: ", shape=ellipse, style=dashed"}[n.Schedule])
		}
		b.WriteString("\t}\n")
	}
	for _, e := range g.Edges {
		style := ""
		switch {
		case e.Failure:
			style = ", style=dashed, color=\"#b42318\", fontcolor=\"#b42318\""
		case e.Schedule:
			style = ", style=dotted"
		}
		fmt.Fprintf(&b, "\t%s -> %s [label=%s%s]\n", quote(e.From), quote(e.To), quote(e.Label), style)
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// quote returns a quoted string of the DOT language. Backslashes are doubled,
// because labels know escapes such as \N; control characters become spaces.
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteString("\\" + string(r))
		case r == '\n':
			b.WriteString("\\n")
		case r < ' ' || r == 0x7f:
			b.WriteByte(' ')
		case r == '&': // Graphviz reads HTML entities in labels
			b.WriteString("&amp;")
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
