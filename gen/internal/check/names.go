package check

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// uniqueNames reports jobs that would share a stored name or a generated
// identifier.
func (c *checker) uniqueNames(m *model.Module) {
	names := map[string]*model.Job{}
	idents := map[string]*model.Job{}
	jobs := slices.Clone(m.Jobs)
	slices.SortStableFunc(jobs, func(a, b *model.Job) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Offset, b.Pos.Offset))
	})
	for _, j := range jobs {
		if other := names[j.Name]; other != nil {
			c.report("JG020", j.Pos, "two jobs are stored as "+j.Name+"; set name= on one of them",
				diag.Note{Pos: other.Pos, Message: "the other is " + other.GoName()})
			continue
		}
		names[j.Name] = j
	}
	for _, j := range jobs {
		for _, a := range j.Settings.Aliases {
			if other := names[a]; other != nil {
				c.report("JG020", j.Pos, "alias "+a+" of "+j.GoName()+" is the name of another job",
					diag.Note{Pos: other.Pos, Message: "the other is " + other.GoName()})
				continue
			}
			names[a] = j
		}
	}
	for _, l := range m.Loops {
		if other := names[l.Name]; other != nil {
			c.report("JG020", l.Pos, "a loop and a job are both called "+l.Name+"; set name= on one of them",
				diag.Note{Pos: other.Pos, Message: "the job is " + other.GoName()})
		}
	}
	for i, l := range m.Loops {
		if i > 0 && m.Loops[i-1].Name == l.Name {
			c.report("JG020", l.Pos, "two loops are called "+l.Name+"; set name= on one of them",
				diag.Note{Pos: m.Loops[i-1].Pos, Message: "the other is " + m.Loops[i-1].GoName()})
		}
	}
	for _, j := range jobs {
		for _, id := range j.Identifiers() {
			if other := idents[id]; other != nil {
				c.report("JG021", j.Pos, j.GoName()+" and "+other.GoName()+" would both generate "+id+"; set stub= on one of them, such as stub="+exportedName(camel(j.Func.Pkg))+j.Stub,
					diag.Note{Pos: other.Pos, Message: "the other is here"})
				break
			}
			idents[id] = j
		}
	}
}

// dependencies makes the fields of worker.Deps and points receivers at them.
func (c *checker) dependencies(m *model.Module) []*model.Dep {
	byType := map[model.Name]*model.Dep{}
	byField := map[string]model.Pos{}
	var deps []*model.Dep
	bind := func(r *model.Receiver, pos model.Pos) {
		if r == nil {
			return
		}
		d := byType[r.Type]
		if d == nil {
			d = &model.Dep{Field: exportedName(camel(r.Type.Pkg)) + r.Type.Name, Type: r.Type}
			byType[d.Type] = d
			if other, taken := byField[d.Field]; taken {
				i := slices.IndexFunc(deps, func(o *model.Dep) bool { return o.Field == d.Field })
				c.report("JG023", pos, "receiver types "+d.Type.Path+"."+d.Type.Name+" and "+deps[i].Type.Path+"."+deps[i].Type.Name+" would both be worker.Deps."+d.Field+"; rename one of the types or packages",
					diag.Note{Pos: other, Message: "the other's method is here"})
			}
			deps = append(deps, d)
			byField[d.Field] = pos
		}
		r.Dep = d
	}
	for _, j := range m.Jobs {
		bind(j.Receiver, j.Pos)
	}
	for _, l := range m.Loops {
		bind(l.Receiver, l.Pos)
	}
	slices.SortFunc(deps, func(a, b *model.Dep) int { return cmp.Compare(a.Field, b.Field) })
	return deps
}

// stems gives each package a base for file names: its name, with as many
// parent directories in front as it takes to tell it from others.
func stems(pkgs []*model.Package) {
	depth := map[*model.Package]int{}
	for range maxStemDepth {
		clashes := map[string]int{}
		for _, p := range pkgs {
			p.Stem = stem(p, depth[p])
			clashes[p.Stem]++
		}
		if len(clashes) == len(pkgs) {
			return
		}
		for _, p := range pkgs {
			if clashes[p.Stem] > 1 {
				depth[p]++
			}
		}
	}
	// Some paths differ only in what a file name doesn't hold.
	seen := map[string]bool{}
	for _, p := range pkgs {
		base := stem(p, 1)
		p.Stem = base
		for n := 2; seen[p.Stem]; n++ {
			p.Stem = base + strconv.Itoa(n)
		}
		seen[p.Stem] = true
	}
}

// maxStemDepth is how many parent directories a file name gets at most.
const maxStemDepth = 5

// stem joins a package's name with its last n parent directories.
func stem(p *model.Package, n int) string {
	parts := []string{p.Name}
	dir := p.Path
	if path.Base(dir) == p.Name {
		dir = path.Dir(dir)
	}
	for range n {
		if dir == "." || dir == "/" {
			break
		}
		parts = append(parts, strings.ToLower(notInName.ReplaceAllString(path.Base(dir), "")))
		dir = path.Dir(dir)
	}
	slices.Reverse(parts)
	return strings.Join(parts, "_")
}

// camel makes an identifier without underscores out of a package name.
func camel(name string) string {
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == '_' })
	for i := range parts[min(1, len(parts)):] {
		parts[i+1] = exportedName(parts[i+1])
	}
	return strings.Join(parts, "")
}
