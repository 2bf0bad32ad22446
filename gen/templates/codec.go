package templates

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// codec is what is generated for one type: a struct, or a root, which is the type of some job's arguments or result.
type codec struct {
	typ       *model.Type
	home      string // import path of the package that names the type; its codecs share a file
	anonymous bool   // a struct without a name; its codec is named after the field that it was found in

	embedded bool // only ever embedded: its fields are written by others, and it is only checked

	append, decode string // functions
	shape          string // alias of the compile-time check

	root     bool
	variable string // the jobrt.Codec of a root
	schema   string // its fingerprint
}

// codecGroup is one file of codecs.
type codecGroup struct {
	stem   string
	codecs []*codec
}

// collectCodecs finds what needs a codec and names it.
func (r *renderer) collectCodecs() {
	r.codecs = make(map[*model.Type]*codec)
	var all []*codec
	var found func(t *model.Type, in *codec, field string)
	found = func(t *model.Type, in *codec, field string) {
		if t == nil || r.codecs[t] != nil {
			return
		}
		if t.Kind == model.Struct || in == nil {
			c := &codec{typ: t, home: home(t)}
			if c.home == "" {
				c.anonymous, c.home = true, in.home
				c.append = in.append + upper(field)
			} else {
				c.append = r.typeName(t)
			}
			r.codecs[t] = c
			all = append(all, c)
			in = c
		}
		found(t.Elem, in, field)
		for _, f := range t.Fields {
			found(f.Type, in, f.Name)
		}
	}
	root := func(t *model.Type, schema model.Schema) {
		if t != nil {
			found(t, nil, "")
			r.codecs[t].root, r.codecs[t].schema = true, schema.Fingerprint
		}
	}
	for _, j := range r.m.Jobs {
		root(j.Args, j.ArgsSchema)
		root(j.Result, j.ResultSchema)
		for _, p := range j.Parents {
			root(p.Type, p.Schema)
		}
		for _, u := range j.Upgrades {
			root(u.Type, u.Schema)
		}
	}

	for _, t := range r.m.Types {
		if r.codecs[t] == nil && home(t) != "" {
			c := &codec{typ: t, home: home(t), append: r.typeName(t), embedded: true}
			r.codecs[t] = c
			all = append(all, c)
		}
	}

	slices.SortFunc(all, func(a, b *codec) int { return strings.Compare(a.typ.ID, b.typ.ID) })
	for _, c := range all {
		n := c.append
		c.shape = r.unexported(lower(n) + staleSuffix)
		if c.embedded {
			continue
		}
		c.append = r.unexported("append" + n)
		c.decode = r.unexported("decode" + n)
		if c.root {
			c.variable = r.unexported(lower(n) + "Codec")
		}
	}
}

// home returns the import path of the first package that a type's Go source names, "" for an unnamed struct.
func home(t *model.Type) string {
	if len(t.Go) == 0 || t.Go[0].Text != "" {
		return ""
	}
	return t.Go[0].Name.Path
}

// codecGroups sorts the codecs into files.
func (r *renderer) codecGroups() []codecGroup {
	byHome := make(map[string][]*codec)
	for _, c := range r.codecs {
		byHome[c.home] = append(byHome[c.home], c)
	}
	groups := make([]codecGroup, 0, len(byHome))
	for path, codecs := range byHome {
		slices.SortFunc(codecs, func(a, b *codec) int { return strings.Compare(a.typ.ID, b.typ.ID) })
		groups = append(groups, codecGroup{stem: r.aliases[path] + "_codec", codecs: codecs})
	}
	slices.SortFunc(groups, func(a, b codecGroup) int { return strings.Compare(a.stem, b.stem) })
	return groups
}

// codecFile emits the codecs of one package's types.
func (r *renderer) codecFile(group codecGroup) *jen.File {
	f := r.newFile(r.m.OutPath, r.m.OutName)
	for i, c := range group.codecs {
		if i > 0 {
			f.Line()
		}
		if c.root {
			r.codecVar(f, c)
		}
		r.shapeCheck(f, c)
		if c.embedded {
			continue
		}
		r.appendFunc(f, c)
		r.decodeFunc(f, c)
	}
	return f
}

// codecVar emits what a descriptor refers to:
//
//	var jobsReceiptCodec = jobrt.Codec[jobs.Receipt]{
//		Append: appendJobsReceipt,
//		Decode: func(data []byte, v *jobs.Receipt) error { return jobjson.Decode(data, v, decodeJobsReceipt) },
//		Schema: "0c2e…",
//	}
func (r *renderer) codecVar(f *jen.File, c *codec) {
	t := c.typ
	f.Var().Id(c.variable).Op("=").Qual(pathJobrt, "Codec").Types(expr(t.Go)).Add(fields(func(set setter) {
		set("Append", jen.Id(c.append))
		set("Decode", jen.Func().Params(jen.Id("data").Index().Byte(), jen.Id("v").Op("*").Add(expr(t.Go))).Error().Block(
			jen.Return(jen.Qual(pathJobjson, "Decode").Call(jen.Id("data"), jen.Id("v"), jen.Id(c.decode)))))
		set("Schema", jen.Lit(c.schema))
		if paths := secrets(t); len(paths) > 0 {
			set("Secrets", stringList(paths))
		}
	}))
}

// secrets lists the JSON paths of t's fields that are tagged job:"secret", sorted. A list's elements are "[]", a map's
// "{}".
func secrets(t *model.Type) []string {
	var paths []string
	var walk func(t *model.Type, path string)
	walk = func(t *model.Type, path string) {
		switch t.Kind {
		case model.Pointer:
			walk(t.Elem, path)
		case model.Slice, model.Array:
			walk(t.Elem, path+"[]")
		case model.Map:
			walk(t.Elem, path+"{}")
		case model.Struct:
			for _, f := range t.Fields {
				at := path + "." + quoteName(f.JSON)
				if f.Secret {
					paths = append(paths, at)
				} else {
					walk(f.Type, at)
				}
			}
		}
	}
	walk(t, "")
	slices.Sort(paths)
	return paths
}

// quoteName keeps names that hold a path's punctuation apart from paths, as the wire schema does.
func quoteName(name string) string {
	if strings.ContainsAny(name, ".[]{} ?\"") {
		return strconv.Quote(name)
	}
	return name
}

// place is a value that generated code reads or writes: an addressable expression in the three forms that code needs.
type place struct {
	value   func() *jen.Statement // v.Lines
	address func() *jen.Statement // &v.Lines
	operand func() *jen.Statement // value, in parentheses where a selector or an index follows
}

// variable is the place of a local.
func variable(name string) place {
	value := func() *jen.Statement { return jen.Id(name) }
	return place{value, func() *jen.Statement { return jen.Op("&").Id(name) }, value}
}

// pointee is the place that a pointer leads to.
func pointee(pointer func() *jen.Statement) place {
	value := func() *jen.Statement { return jen.Op("*").Add(pointer()) }
	return place{value, pointer, func() *jen.Statement { return jen.Parens(value()) }}
}

// within is the place of a field.
func (p place) within(path []string) place {
	value := func() *jen.Statement { return selector(p.operand(), path) }
	return place{value, func() *jen.Statement { return jen.Op("&").Add(value()) }, value}
}

// at is the place of an element.
func (p place) at(index string) place {
	value := func() *jen.Statement { return p.operand().Index(jen.Id(index)) }
	return place{value, func() *jen.Statement { return jen.Op("&").Add(value()) }, value}
}

// argument is the place of a codec function's v.
func argument() place { return pointee(func() *jen.Statement { return jen.Id("v") }) }
