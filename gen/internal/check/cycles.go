package check

import (
	"slices"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// importCycles reports packages of argument and result types that import the
// generated client, which must import them, and handlers that import the
// registry, which must import those.
func (c *checker) importCycles(m *model.Module) {
	registry := m.OutPath + "/" + m.WorkerDir
	for _, p := range m.Packages {
		if chain, pos := c.src.ImportChain(p.Path, registry); chain != nil {
			c.report("JG030", pos, "package "+p.Name+" has handlers and "+imports(chain)+", which must import "+p.Name+"; only the program that runs the pool imports the registry")
		}
	}
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
			chain, pos = c.src.ImportChain(p, registry)
		}
		if chain == nil || chain[len(chain)-1] == registry && c.hasHandlers(p) { // reported above
			continue
		}
		what := "types of arguments or results"
		if declares[p] != "" {
			what = declares[p]
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
		c.report("JG030", pos, "package "+name+" declares "+what+" and "+imports(chain)+", which must import "+name+"; "+advice, notes...)
	}
}

// imports words a chain of imports.
func imports(chain []string) string {
	how := "imports " + chain[len(chain)-1]
	if len(chain) > 2 {
		how += " through " + strings.Join(chain[1:len(chain)-1], ", ")
	}
	return how
}

func (c *checker) hasHandlers(path string) bool {
	for _, p := range c.src.Packages {
		if p.Path == path {
			return true
		}
	}
	return false
}
