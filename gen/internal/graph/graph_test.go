package graph

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// awkward is a text that breaks out of careless output.
const awkward = "a\"b\\N<c>&d]]>\n\te|{f}\x00é漢"

func sample() *model.Module {
	receipt := &model.Type{Kind: model.Struct, Go: model.Expr{{Text: "Receipt"}}}
	job := func(name, queue string, settings ...model.Setting) *model.Job {
		return &model.Job{Name: "shop/" + name, Func: model.Name{Pkg: "billing", Name: name}, Settings: model.Settings{Queue: queue, Retry: 3, Declared: settings}}
	}
	send := job("Send", "billing", model.Setting{Key: "owner", Value: awkward})
	send.Result = receipt
	archive := job("Archive", "archive")
	archive.Args, archive.From = receipt, true
	report := job("Report", "billing")
	report.Parents = []*model.Parent{{Kind: model.ParentOutcomes, Type: receipt}}
	refund := job("Refund", "billing")
	refund.Parents = []*model.Parent{{Kind: model.ParentFailure}}
	send.Next = []*model.Next{{Job: refund, Failure: true}, {Job: archive}}
	closing := job("Close", "billing")
	closing.Schedules = []*model.Schedule{{Name: model.DefaultSchedule, Cron: "0 2 1 * *", Zone: "Europe/Berlin"}, {Name: "often", Every: 15 * time.Minute}}
	return &model.Module{
		Service: "shop",
		Jobs:    []*model.Job{archive, closing, refund, report, send},
		Queues:  []*model.Queue{{Name: "billing", Workers: 5, Declared: []model.Setting{{Key: "owner", Value: awkward}}}, {Name: "empty"}},
	}
}

func TestEdgesSayWhatCanFollowWhat(t *testing.T) {
	var got []string
	for _, e := range FromModel(sample()).Edges {
		got = append(got, fmt.Sprintf("%s>%s:%s:%v", e.From, e.To, e.Label, e.Failure))
	}
	want := []string{
		"schedule of shop/Close>shop/Close::false",
		"schedule often of shop/Close>shop/Close::false",
		"shop/Send>shop/Archive:then:false",
		"shop/Send>shop/Refund:on failure:true",
		"shop/Send>shop/Report:all outcomes:false",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("edges\n got %q\nwant %q", got, want)
	}
}

func TestSVGIsXMLThatShowsEachJobAndNothingElse(t *testing.T) {
	g := FromModel(sample())
	svg := g.SVG()
	var titles []string
	inTitle := false
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		switch token := token.(type) {
		case xml.StartElement:
			inTitle = token.Name.Local == "title"
			switch token.Name.Local {
			case "svg", "title", "style", "rect", "text", "tspan", "g", "path":
			default:
				t.Errorf("element %s came from a text", token.Name.Local)
			}
		case xml.CharData:
			if inTitle {
				titles = append(titles, string(token))
			}
		case xml.EndElement:
			inTitle = false
		}
	}
	all := strings.Join(titles, "\n")
	for _, want := range []string{"Jobs of shop", "shop/Send\nfunc billing.Send", "Send → Refund: on failure", "queue billing\n5 workers", `a"b\N<c>&d]]>`} {
		if !strings.Contains(all, want) {
			t.Errorf("no title says %q:\n%s", want, all)
		}
	}
}

func TestDOTQuotesTexts(t *testing.T) {
	if got, want := quote(awkward), `"a\"b\\N<c>&amp;d]]>\n e|{f} é漢"`; got != want {
		t.Errorf("quote = %s, want %s", got, want)
	}
	dot := string(FromModel(sample()).DOT())
	for _, want := range []string{"subgraph cluster_0 {\n\t\tlabel=\"archive\"\n", `"shop/Send" -> "shop/Refund" [label="on failure", style=dashed`} {
		if !strings.Contains(dot, want) {
			t.Errorf("no %s in\n%s", want, dot)
		}
	}
	if strings.Contains(dot, `"empty"`) {
		t.Errorf("a queue without jobs is drawn:\n%s", dot)
	}
}

func TestOutputDoesNotDependOnTheOrderOfTheModel(t *testing.T) {
	want := FromModel(sample())
	for range 20 {
		m := sample()
		for i, j := range []int{3, 1, 4, 0, 2} {
			m.Jobs[i], m.Jobs[j] = m.Jobs[j], m.Jobs[i]
		}
		got := FromModel(m)
		if !bytes.Equal(got.SVG(), want.SVG()) || !bytes.Equal(got.DOT(), want.DOT()) {
			t.Fatal("output differs")
		}
	}
}

// TestLayoutPutsNothingOnTopOfAnything checks the places of boxes in graphs
// with cycles, long edges and many single nodes.
func TestLayoutPutsNothingOnTopOfAnything(t *testing.T) {
	g := &Graph{Queues: []Queue{{Name: "a"}, {Name: "b", About: strings.Repeat("x", 200)}, {Name: "c"}}}
	for i := range 60 {
		q := &g.Queues[i%3]
		q.Nodes = append(q.Nodes, Node{ID: fmt.Sprint(i), Label: strings.Repeat("n", i)})
	}
	edge := func(from, to int) {
		g.Edges = append(g.Edges, Edge{From: fmt.Sprint(from), To: fmt.Sprint(to), Label: "e"})
	}
	for i := range 12 {
		edge(i, i+1)
		edge(i, (i*7)%12)
	}
	edge(12, 0)
	edge(0, 11)
	edge(5, 5)
	g.Edges = append(g.Edges, Edge{From: "0", To: "nobody"})

	l := arrange(g)
	var boxes []*box
	for i, ln := range l.lanes {
		if i > 0 && ln.y < l.lanes[i-1].y+l.lanes[i-1].h {
			t.Errorf("lane %d starts at %.0f, above the end of the one before", i, ln.y)
		}
		for _, cell := range ln.cells {
			for _, b := range cell {
				boxes = append(boxes, b)
				if b.x < margin || b.x+b.w > l.width-margin || b.y < ln.y+laneHead || b.y+b.h > ln.y+ln.h {
					t.Errorf("box %+v is outside its lane", b)
				}
			}
		}
	}
	if len(boxes) < 60 {
		t.Fatalf("%d boxes", len(boxes))
	}
	for i, a := range boxes {
		for _, b := range boxes[:i] {
			if a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h {
				t.Errorf("%+v lies on %+v", a, b)
			}
		}
	}
	for _, r := range l.routes {
		for i, b := range r.via[1:] {
			if !r.back && b.column != r.via[i].column+1 {
				t.Errorf("edge %s-%s skips a column", r.edge.From, r.edge.To)
			}
		}
	}
	if len(l.routes) != len(g.Edges)-1 {
		t.Errorf("%d of %d edges are drawn", len(l.routes), len(g.Edges)-1)
	}
}

func TestShortenKeepsTheEnd(t *testing.T) {
	if got := shorten(strings.Repeat("漢", 30)); cells(got) > maxLabel || !strings.HasPrefix(got, "…") {
		t.Errorf("%q takes %d columns", got, cells(got))
	}
	if got := shorten("billing.Send"); got != "billing.Send" {
		t.Errorf("%q", got)
	}
}
