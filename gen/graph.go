package gen

import (
	"context"
	"fmt"

	"github.com/jobgen/jobgen/gen/internal/graph"
)

// GraphFormats are the formats of Graph.
var GraphFormats = []string{"svg", "dot"}

// Graph draws the module's job graph: queues, jobs, schedules and which jobs
// can follow which. The picture is nil when there are diagnostics.
func Graph(ctx context.Context, opts Options, format string) ([]byte, *Result, error) {
	res := &Result{}
	module, err := read(ctx, opts, res)
	if err != nil || len(res.Diagnostics) > 0 {
		return nil, res, err
	}
	g := graph.FromModel(module)
	switch format {
	case "svg":
		return g.SVG(), res, nil
	case "dot":
		return g.DOT(), res, nil
	}
	return nil, res, usage{fmt.Errorf("unknown format %q", format)}
}
