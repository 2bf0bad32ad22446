// Package graph draws the static job graph of a module: its queues, its jobs,
// what starts them by the clock and which results can go where.
//
// What a graph shows is what types and annotations say: an edge means that a
// job can wait for another, not that each run does. The output depends on
// nothing but the model.
package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// Graph is what both formats draw.
type Graph struct {
	Title  string
	Queues []Queue // by name
	Edges  []Edge  // by From, To
}

// Queue is a group of nodes.
type Queue struct {
	Name  string
	About string // "5 workers, owner payments"
	Nodes []Node // by ID
}

// Node is a job or a schedule.
type Node struct {
	ID       string
	Label    string
	About    []string // lines of the tooltip
	Schedule bool
}

// Edge joins two nodes.
type Edge struct {
	From, To string
	Label    string
	Failure  bool // followed after a failure only
	Schedule bool
}

// FromModel returns the graph of a module.
func FromModel(m *model.Module) *Graph {
	g := &Graph{Title: "Jobs of " + m.Service}
	queues := map[string]*Queue{}
	for _, q := range m.Queues {
		queues[q.Name] = &Queue{Name: q.Name, About: aboutQueue(q)}
	}
	for _, j := range m.Jobs {
		q := queues[j.Settings.Queue]
		if q == nil {
			q = &Queue{Name: j.Settings.Queue}
			queues[q.Name] = q
		}
		q.Nodes = append(q.Nodes, Node{ID: j.Name, Label: strings.TrimPrefix(j.Name, m.Service+"/"), About: aboutJob(j)})
		for _, s := range j.Schedules {
			when := strings.TrimSpace(s.When() + " " + s.Zone)
			id := "schedule of " + j.Name
			if s.Name != model.DefaultSchedule {
				id = "schedule " + s.Name + " of " + j.Name
			}
			q.Nodes = append(q.Nodes, Node{ID: id, Label: when, About: []string{when, "starts " + j.Name}, Schedule: true})
			g.Edges = append(g.Edges, Edge{From: id, To: j.Name, Schedule: true})
		}
	}
	for _, q := range queues {
		if len(q.Nodes) > 0 {
			slices.SortFunc(q.Nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
			g.Queues = append(g.Queues, *q)
		}
	}
	slices.SortFunc(g.Queues, func(a, b Queue) int { return cmp.Compare(a.Name, b.Name) })
	g.edges(m.Jobs)
	return g
}

// edges adds what joins jobs: one edge for each pair that has the same meaning.
func (g *Graph) edges(jobs []*model.Job) {
	type pair struct {
		from, to string
		failure  bool
	}
	labels := map[pair][]string{}
	add := func(from, to *model.Job, failure bool, label string) {
		p := pair{from.Name, to.Name, failure}
		if !slices.Contains(labels[p], label) {
			labels[p] = append(labels[p], label)
		}
	}
	for _, j := range jobs {
		for _, n := range j.Next {
			if n.Failure {
				add(j, n.Job, true, "on failure")
			} else {
				add(j, n.Job, false, "then")
			}
		}
		for _, from := range jobs {
			for _, p := range j.Parents {
				if p.Takes(from) {
					add(from, j, false, parentLabels[p.Kind])
				}
			}
			if j.From && from.Result != nil && from.Result == j.Args {
				add(from, j, false, "as arguments")
			}
		}
	}
	for p, l := range labels {
		if slices.Contains(l, "then") { // what always follows, not just can
			l = []string{"then"}
		}
		g.Edges = append(g.Edges, Edge{From: p.from, To: p.to, Label: strings.Join(l, ", "), Failure: p.failure})
	}
	slices.SortFunc(g.Edges, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.Label, b.Label))
	})
}

var parentLabels = map[model.ParentKind]string{
	model.ParentValue:    "result",
	model.ParentValues:   "all results",
	model.ParentOutcome:  "outcome",
	model.ParentOutcomes: "all outcomes",
}

func setting(declared []model.Setting, key string) string {
	for _, s := range declared {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// ShortDuration shortens a duration as package time prints it: 15m0s is 15m.
func ShortDuration(duration string) string {
	if s, ok := strings.CutSuffix(duration, "m0s"); ok {
		duration = s + "m"
	}
	if s, ok := strings.CutSuffix(duration, "h0m"); ok {
		duration = s + "h"
	}
	return duration
}

func aboutQueue(q *model.Queue) string {
	var parts []string
	switch {
	case q.Workers == 1:
		parts = append(parts, "1 worker")
	case q.Workers > 1:
		parts = append(parts, fmt.Sprintf("%d workers", q.Workers))
	}
	for _, key := range []string{"owner", "oncall", "slo", "risk"} {
		if v := setting(q.Declared, key); v != "" {
			if key == "slo" {
				v = ShortDuration(v)
			}
			parts = append(parts, key+" "+v)
		}
	}
	return strings.Join(parts, ", ")
}

func aboutJob(j *model.Job) []string {
	lines := []string{j.Name, "func " + j.GoName(), fmt.Sprintf("retry %d", j.Settings.Retry)}
	if j.Args != nil {
		lines = append(lines, "arguments "+j.Args.Go.String())
	}
	if j.Result != nil {
		lines = append(lines, "result "+j.Result.Go.String())
	}
	for _, key := range []string{"owner", "risk", "once", "timeout", "deprecated"} {
		if v := setting(j.Settings.Declared, key); v != "" {
			if key == "timeout" {
				v = ShortDuration(v)
			}
			lines = append(lines, key+" "+v)
		}
	}
	return lines
}
