package templates

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/dave/jennifer/jen"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// CodegenVersion is the version of what the templates emit. It goes up when generated code needs something of the
// runtime that it did not need before, and the runtime's MinCodegen and MaxCodegen say which versions it can serve.
const CodegenVersion = 4

// renderer holds what the emitters of one module share.
type renderer struct {
	m       *model.Module
	current map[string][]byte // by path

	aliases   map[string]string // import path -> name in generated code
	realNames map[string]string // import path -> the package's own name
	taken     map[string]bool   // identifiers that are spoken for: imports, locals, package level

	codecs map[*model.Type]*codec  // of arguments, results and the structs within them
	params map[*model.Job][]string // names of parent parameters

	upgradedName map[*model.Job]string // functions that return descriptors with upgrades
}

// Render returns the files of m by slash-separated path relative to the output directory. It is an error when two jobs
// lead to one Go name.
//
// current holds the files that are there now, if any, by the same paths. One that differs from what is emitted in white
// space at most is returned as it is: formatting is most of the work, and a run seldom changes more than a file or two.
func Render(m *model.Module, current map[string][]byte) (map[string][]byte, error) {
	m = sorted(m)
	r := &renderer{m: m, current: current}
	exported, err := exportedNames(m)
	if err != nil {
		return nil, err
	}
	r.nameImports(exported)
	r.collectCodecs()
	r.nameParents(exported)

	files := map[string]*jen.File{"client_gen.go": r.clientFile()}
	stems := make(map[string]bool)
	for _, p := range m.Packages {
		files[unusedStem(stems, p.Stem, "jobs")+"_gen.go"] = r.stubsFile(p)
	}
	for _, group := range r.codecGroups() {
		files[unusedStem(stems, group.stem, "types")+"_gen.go"] = r.codecFile(group)
	}
	files[m.WorkerDir+"/register_gen.go"] = r.registerFile()
	return r.sources(files)
}

// sources prints and formats files, several at a time: that is most of the work.
func (r *renderer) sources(files map[string]*jen.File) (map[string][]byte, error) {
	names := slices.Sorted(maps.Keys(files))
	sources := make([][]byte, len(names))
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, name := range names {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			if sources[i], errs[i] = r.source(files[name], r.current[name]); errs[i] != nil {
				errs[i] = fmt.Errorf("render %s: %w", name, errs[i])
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	out := make(map[string][]byte, len(names))
	for i, name := range names {
		out[name] = sources[i]
	}
	return out, nil
}

// sorted returns m with its lists in their documented order, so that the output depends on nothing else.
func sorted(m *model.Module) *model.Module {
	c := *m
	byName := func(a, b *model.Job) int { return strings.Compare(a.Name, b.Name) }
	c.Jobs = slices.SortedFunc(slices.Values(m.Jobs), byName)
	c.Loops = slices.SortedFunc(slices.Values(m.Loops), func(a, b *model.Loop) int { return strings.Compare(a.Name, b.Name) })
	c.Queues = slices.SortedFunc(slices.Values(m.Queues), func(a, b *model.Queue) int { return strings.Compare(a.Name, b.Name) })
	c.Deps = slices.SortedFunc(slices.Values(m.Deps), func(a, b *model.Dep) int { return strings.Compare(a.Field, b.Field) })
	c.Packages = nil
	for _, p := range m.Packages {
		q := *p
		q.Jobs = slices.SortedFunc(slices.Values(p.Jobs), byName)
		c.Packages = append(c.Packages, &q)
	}
	slices.SortFunc(c.Packages, func(a, b *model.Package) int { return strings.Compare(a.Path, b.Path) })
	return &c
}

// unusedStem takes a file's stem that no file has yet; client_gen.go is always there.
func unusedStem(used map[string]bool, stem, suffix string) string {
	used["client"] = true
	for used[stem] {
		stem += "_" + suffix
	}
	used[stem] = true
	return stem
}

// exportedNames lists the exported package-level names of the client package.
func exportedNames(m *model.Module) ([]string, error) {
	owner := map[string]string{"Use": "", "Client": "", "NewClient": "", "Enqueuer": "", "Graph": "", "Batch": ""}
	for _, j := range m.Jobs {
		for _, n := range j.Identifiers() {
			if other, taken := owner[n]; taken {
				if other == "" {
					return nil, fmt.Errorf("job %s: its %s is a name that the generated package needs; set stub=", j.GoName(), n)
				}
				return nil, fmt.Errorf("jobs %s and %s both generate %s; set stub= on one of them", other, j.GoName(), n)
			}
			owner[n] = j.GoName()
		}
	}
	names := make([]string, 0, len(owner))
	for n := range owner {
		names = append(names, n)
	}
	slices.Sort(names)
	return names, nil
}

// typeOrNone emits a job's argument or result type.
func typeOrNone(t *model.Type) *jen.Statement {
	if t == nil {
		return jen.Qual(pathJobrt, "None")
	}
	return expr(t.Go)
}
