package check

import (
	"slices"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// importCycles reports packages of argument and result types that import the
// generated client, which must import them.
func (c *checker) importCycles(m *model.Module) {
	declares := map[string]string{} // import path -> a type that the client needs
	for _, t := range m.Types {
		if t.Name != nil && declares[t.Name.Path] == "" {
			declares[t.Name.Path] = t.Name.Name
		}
	}
	for p := range c.types.imports {
		if _, known := declares[p]; !known {
			declares[p] = ""
		}
	}
	paths := make([]string, 0, len(declares))
	for p := range declares {
		if p == m.Path || strings.HasPrefix(p, m.Path+"/") {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	for _, p := range paths {
		chain, pos := c.src.ImportChain(p, m.OutPath)
		if chain == nil {
			chain, pos = c.src.ImportChain(p, m.OutPath+"/"+m.WorkerDir)
		}
		if chain == nil {
			continue
		}
		what := "types of arguments or results"
		if declares[p] != "" {
			what = declares[p]
		}
		how := "imports " + chain[len(chain)-1]
		if len(chain) > 2 {
			how += " through " + strings.Join(chain[1:len(chain)-1], ", ")
		}
		name := c.imports[p]
		if name == "" {
			name = c.types.imports[p]
		}
		var notes []diag.Note
		for _, j := range m.Jobs {
			if j.Args != nil && j.Args.Name != nil && j.Args.Name.Path == p {
				notes = append(notes, diag.Note{Pos: j.Pos, Message: "argument of " + j.GoName()})
				break
			}
		}
		advice := "move what needs generated code out of package " + name
		if c.hasHandlers(p) {
			advice = "move the types to a package without handlers, such as " + p + "/types"
		}
		c.report("JG030", pos, "package "+name+" declares "+what+" and "+how+", which must import "+name+"; "+advice, notes...)
	}
}

func (c *checker) hasHandlers(path string) bool {
	for _, p := range c.src.Packages {
		if p.Path == path {
			return true
		}
	}
	return false
}
