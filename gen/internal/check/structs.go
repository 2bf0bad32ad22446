package check

import (
	"go/types"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// candidate is a field that may be stored, before names are settled.
type candidate struct {
	field  *model.Field
	tagged bool // its JSON name comes from a tag
}

// structFields describes the fields of a struct as encoding/json sees them:
// embedded structs are flattened, the shallowest field of a name wins, and a
// name from a tag beats a Go name at the same depth.
func (t *typeTable) structFields(typ *model.Type, gt types.Type, st *types.Struct) []fault {
	if hidden := unexportedFields(st); len(hidden) > 0 && t.foreign(gt) {
		return []fault{t.bad(gt, "its unexported fields would be lost and it has no MarshalJSON; copy what you need into a struct of your own")}
	}
	cands, faults := t.candidates(st, nil)
	typ.Fields = make([]*model.Field, 0, len(cands))
	byName := map[string][]candidate{}
	for _, c := range cands {
		byName[c.field.JSON] = append(byName[c.field.JSON], c)
	}
	for _, c := range cands {
		winner, clash := dominant(byName[c.field.JSON])
		switch {
		case winner == c.field:
			typ.Fields = append(typ.Fields, c.field)
		case clash != nil && clash[0].field == c.field:
			faults = append(faults, fault{code: "JG040", path: "." + c.field.Name, pos: c.field.Pos,
				text: "and " + clash[1].field.Name + " would both be stored as \"" + c.field.JSON + "\"; give one another json name"})
		}
	}
	typ.Shape = t.shape(st)
	return faults
}

// dominant returns the field that wins a JSON name, or those that keep each
// other from it.
func dominant(cs []candidate) (*model.Field, []candidate) {
	depth := len(cs[0].field.Path)
	for _, c := range cs {
		depth = min(depth, len(c.field.Path))
	}
	var tagged, all []candidate
	for _, c := range cs {
		if len(c.field.Path) == depth {
			all = append(all, c)
			if c.tagged {
				tagged = append(tagged, c)
			}
		}
	}
	switch {
	case len(all) == 1:
		return all[0].field, nil
	case len(tagged) == 1:
		return tagged[0].field, nil
	case len(tagged) > 1:
		return nil, tagged
	}
	return nil, all
}

// candidates lists a struct's fields and, in place, those of embedded structs.
func (t *typeTable) candidates(st *types.Struct, outer []string) ([]candidate, []fault) {
	var cs []candidate
	var faults []fault
	for i := range st.NumFields() {
		v := st.Field(i)
		tag := reflect.StructTag(st.Tag(i))
		pos := t.pos(v)
		fail := func(code, text string) {
			faults = append(faults, fault{code: code, path: "." + v.Name(), pos: pos, text: text})
		}
		jsonTag := tag.Get("json")
		if jsonTag == "-" {
			continue
		}
		name, options, _ := strings.Cut(jsonTag, ",")
		tagged := validName(name)
		switch {
		case name != "" && !tagged:
			fail("JG043", "has a json name that encoding/json ignores: \""+name+"\"")
		case !v.Exported() && v.Embedded():
			fail("JG040", "is an embedded unexported type, whose fields generated code can't reach; export it, or tag it json:\"-\"")
			continue
		case !v.Exported():
			fail("JG040", "is unexported and would be lost; export it, or tag it json:\"-\"")
			continue
		}
		f := &model.Field{Name: v.Name(), Path: append(slices.Clone(outer), v.Name()), JSON: v.Name(), Pos: pos}
		if tagged {
			f.JSON = name
		}
		for _, o := range strings.Split(options, ",") {
			switch o {
			case "":
			case "omitempty":
				f.OmitEmpty = true
			case "omitzero":
				f.OmitZero = true
			case "string":
				fail("JG043", "has json option \"string\", which jobgen does not support; store it as a string field")
			default:
				fail("JG043", "has unknown json option \""+o+"\""+diag.DidYouMean(o, []string{"omitempty", "omitzero"}))
			}
		}
		for _, o := range strings.Split(tag.Get("job"), ",") {
			switch o {
			case "":
			case "secret":
				f.Secret = true
			default:
				fail("JG042", "has unknown job option \""+o+"\""+orOnly(diag.DidYouMean(o, []string{"secret"}), "; the only one is \"secret\""))
			}
		}
		ft := types.Unalias(v.Type())
		if _, isPointer := ft.(*types.Pointer); isPointer && v.Embedded() && !tagged {
			fail("JG040", "is an embedded pointer; embed the struct itself, or give the field a name")
			continue
		}
		sub, ok := ft.Underlying().(*types.Struct)
		ftype, fs := t.build(ft)
		if v.Embedded() && !tagged && ok && ftype != nil && ftype.Kind == model.Struct {
			// Its own faults come up through its fields.
			inner, innerFaults := t.candidates(sub, f.Path)
			cs = append(cs, inner...)
			faults = append(faults, prefix("."+v.Name(), innerFaults)...)
			continue
		}
		for _, ff := range prefix("."+v.Name(), fs) {
			if !ff.pos.IsValid() || t.outside(ff.pos) {
				ff.pos = pos
			}
			faults = append(faults, ff)
		}
		f.Type = ftype
		cs = append(cs, candidate{f, tagged})
	}
	return cs, faults
}

func orOnly(hint, fallback string) string {
	if hint == "" {
		return fallback
	}
	return hint
}

// pos returns the place of a field, or none when it lies outside the module.
func (t *typeTable) pos(v *types.Var) model.Pos {
	p := t.src.Pos(v.Pos())
	if t.outside(p) {
		return model.Pos{}
	}
	return p
}

// outside reports whether a place lies outside the module or in its vendored
// dependencies.
func (t *typeTable) outside(p model.Pos) bool {
	rel, err := filepath.Rel(t.src.ModuleDir, p.File)
	return err != nil || !filepath.IsLocal(rel) || strings.HasPrefix(filepath.ToSlash(rel), "vendor/")
}

// foreign reports whether a type is declared outside the module.
func (t *typeTable) foreign(gt types.Type) bool {
	n, ok := gt.(*types.Named)
	return ok && t.outside(t.src.Pos(n.Obj().Pos()))
}

func unexportedFields(st *types.Struct) []string {
	var names []string
	for i := range st.NumFields() {
		if !st.Field(i).Exported() && reflect.StructTag(st.Tag(i)).Get("json") != "-" {
			names = append(names, st.Field(i).Name())
		}
	}
	return names
}

// shape describes a struct as declared, or returns nil when another package
// can't write it down.
func (t *typeTable) shape(st *types.Struct) []model.ShapeField {
	fields := make([]model.ShapeField, 0, st.NumFields())
	for i := range st.NumFields() {
		v := st.Field(i)
		e, ok := t.expr(v.Type())
		if !v.Exported() || !ok {
			return nil
		}
		fields = append(fields, model.ShapeField{Name: v.Name(), Embedded: v.Embedded(), Tag: st.Tag(i), Type: e})
	}
	for _, f := range fields {
		t.use(f.Type)
	}
	return fields
}

// validName reports whether encoding/json takes a tag's name.
func validName(name string) bool {
	for _, r := range name {
		if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return false
		}
	}
	return name != ""
}
