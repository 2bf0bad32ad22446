package lock

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/model"
	"github.com/jobgen/jobgen/gen/internal/wire"
)

// FromModel returns the lock that belongs to the code. out is the name of the
// directory of generated code.
func FromModel(m *model.Module, out string) *Lock {
	l := &Lock{Out: out}
	for _, j := range m.Jobs {
		l.Jobs = append(l.Jobs, fromJob(m, j))
	}
	l.sort()
	return l
}

func fromJob(m *model.Module, j *model.Job) *Job {
	job := &Job{
		Name:    j.Name,
		Version: j.Settings.Version,
		Aliases: slices.Clone(j.Settings.Aliases),
		Queue:   j.Settings.Queue,
		Retry:   j.Settings.Retry,
		Args:    slices.Clone(j.ArgsSchema.Lines),
		Result:  slices.Clone(j.ResultSchema.Lines),
		Pos:     j.Pos,
		fields:  map[string]model.Pos{},
	}
	if j.Args != nil && j.Args.Name != nil {
		job.argsType = j.Args.Name.Name
	}
	place(job.fields, "arg", "", j.Args)
	place(job.fields, "res", "", j.Result)
	job.Once = onceKey(j)
	for _, u := range j.Upgrades {
		job.Old = append(job.Old, Old{Version: u.Version, Lines: slices.Clone(u.Schema.Lines)})
		place(job.fields, fmt.Sprintf("old %d", u.Version), "", u.Type)
	}
	for i, p := range j.Parents {
		job.Parents = append(job.Parents, Parent{Form: p.Kind.String(), Lines: slices.Clone(p.Schema.Lines)})
		place(job.fields, fmt.Sprintf("parent %d %s", i, p.Kind), "", p.Type)
	}
	for _, n := range j.Next {
		if n.Failure {
			job.OnFailure = append(job.OnFailure, n.Job.Name)
		} else {
			job.Then = append(job.Then, n.Job.Name)
		}
	}
	for _, other := range m.Jobs {
		if takesResult(other, j) {
			job.Feeds = append(job.Feeds, other.Name)
		}
	}
	return job
}

// takesResult reports whether a job can take the result of another, as a parent
// or as its arguments.
func takesResult(j, from *model.Job) bool {
	if from.Result == nil {
		return false
	}
	if j.From && j.Args == from.Result {
		return true
	}
	return slices.ContainsFunc(j.Parents, func(p *model.Parent) bool { return p.Takes(from) })
}

// onceKey returns the JSON paths of the fields that once= names, in their
// order, which the key has too.
func onceKey(j *model.Job) string {
	if j.Args == nil || len(j.Settings.Once) == 0 {
		for _, s := range j.Settings.Declared {
			if s.Key == "once" {
				return none
			}
		}
		return ""
	}
	var paths []string
	for _, ref := range j.Settings.Once {
		paths = append(paths, jsonPath(j.Args, ref))
	}
	return strings.Join(paths, ",")
}

// jsonPath returns the path of a field on the wire, or its Go name when it has
// none: fields of a type that writes its own JSON.
func jsonPath(t *model.Type, ref model.FieldRef) string {
	path := ""
	by, _ := ref.Stored(t)
	for _, f := range by {
		path += "." + wire.Quote(f.JSON)
	}
	if path == "" {
		return "." + ref.String()
	}
	return path
}

// place records where the fields of a type stand in the source.
func place(to map[string]model.Pos, keyword, path string, t *model.Type) {
	if t == nil {
		return
	}
	switch t.Kind {
	case model.Pointer:
		place(to, keyword, path, t.Elem)
	case model.Slice:
		place(to, keyword, path+"[]", t.Elem)
	case model.Array:
		place(to, keyword, fmt.Sprintf("%s[%d]", path, t.Len), t.Elem)
	case model.Map:
		place(to, keyword, path+"{"+t.Key.Kind.String()+"}", t.Elem)
	case model.Struct:
		for _, f := range t.Fields {
			at := path + "." + wire.Quote(f.JSON)
			to[keyword+" "+at] = f.Pos
			place(to, keyword, at, f.Type)
		}
	}
}
