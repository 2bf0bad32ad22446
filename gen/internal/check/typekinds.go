package check

import (
	"go/types"

	"github.com/jobgen/jobgen/gen/internal/model"
)

var basicKinds = map[types.BasicKind]model.Kind{
	types.Bool: model.Bool, types.Int: model.Int, types.Int8: model.Int8, types.Int16: model.Int16,
	types.Int32: model.Int32, types.Int64: model.Int64, types.Uint: model.Uint, types.Uint8: model.Uint8,
	types.Uint16: model.Uint16, types.Uint32: model.Uint32, types.Uint64: model.Uint64,
	types.Float32: model.Float32, types.Float64: model.Float64, types.String: model.String,
}

// maxArray is the longest array that is stored.
const maxArray = 64 << 10

// describe fills in how a type is stored and returns what keeps it from being.
func (t *typeTable) describe(typ *model.Type, gt types.Type) []fault {
	if n, ok := gt.(*types.Named); ok {
		if done, faults := t.describeNamed(typ, n); done {
			return faults
		}
	}
	switch u := gt.Underlying().(type) {
	case *types.Basic:
		typ.Kind = basicKinds[u.Kind()]
		if typ.Kind == model.Invalid {
			return []fault{t.bad(gt, "JSON has no form for it")}
		}
	case *types.Pointer:
		typ.Kind = model.Pointer
		elem := types.Unalias(u.Elem())
		if _, twice := elem.Underlying().(*types.Pointer); twice {
			return []fault{t.bad(gt, "a pointer to a pointer has two ways to be null")}
		}
		if gt != types.Type(u) {
			return []fault{t.bad(gt, "it is a named pointer; write *T at the field")}
		}
		return t.elem(typ, elem, "")
	case *types.Slice:
		typ.Kind = model.Slice
		if b, ok := types.Unalias(u.Elem()).Underlying().(*types.Basic); ok && b.Kind() == types.Uint8 && !anyMarshal(u.Elem()) {
			typ.Kind = model.Bytes
		}
		return t.elem(typ, u.Elem(), "[]")
	case *types.Array:
		typ.Kind, typ.Len = model.Array, u.Len()
		if u.Len() > maxArray {
			return []fault{t.bad(gt, "it has more than 65536 elements")}
		}
		return t.elem(typ, u.Elem(), "[]")
	case *types.Map:
		typ.Kind = model.Map
		if f := t.mapKey(typ, u.Key()); f != nil {
			return f
		}
		return t.elem(typ, u.Elem(), "[key]")
	case *types.Struct:
		typ.Kind = model.Struct
		return t.structFields(typ, gt, u)
	case *types.Interface:
		return []fault{t.bad(gt, "an interface does not say what to decode into; use a concrete type, or json.RawMessage")}
	case *types.Chan, *types.Signature:
		return []fault{t.bad(gt, "it lives in one process only")}
	default:
		return []fault{t.bad(gt, "JSON has no form for it")}
	}
	return nil
}

// describeNamed handles what a type's name decides: visibility, special types
// of the standard library, and methods. done is false when the underlying type
// decides.
func (t *typeTable) describeNamed(typ *model.Type, n *types.Named) (done bool, faults []fault) {
	obj := n.Obj()
	if pkg := obj.Pkg(); pkg != nil {
		if n.TypeArgs().Len() == 0 {
			typ.Name = &model.Name{Path: pkg.Path(), Pkg: pkg.Name(), Name: obj.Name()}
		}
		switch {
		case !obj.Exported():
			return true, []fault{t.bad(n, "it is unexported, so generated code can't name it")}
		case pkg.Name() == "main":
			return true, []fault{t.bad(n, "package main can't be imported")}
		case !visible(t.outPath, pkg.Path()):
			return true, []fault{t.bad(n, "internal package "+pkg.Path()+" is not visible from "+t.outPath)}
		}
		switch pkg.Path() + "." + obj.Name() {
		case "time.Time":
			typ.Kind = model.Time
			return true, nil
		case "time.Duration":
			typ.Kind = model.Duration
			return true, nil
		case "encoding/json.RawMessage":
			typ.Kind = model.RawMessage
			return true, nil
		case "encoding/json.Number":
			return true, []fault{t.bad(n, "its text is checked nowhere; use int64, float64 or string")}
		}
	}
	if types.IsInterface(n) {
		return false, nil
	}
	return t.marshalling(typ, n)
}

// marshalling handles types with methods that define their stored form.
func (t *typeTable) marshalling(typ *model.Type, n *types.Named) (done bool, faults []fault) {
	for _, form := range []struct {
		kind               model.Kind
		marshal, unmarshal string
	}{
		{model.JSON, "MarshalJSON", "UnmarshalJSON"},
		{model.Text, "MarshalText", "UnmarshalText"},
	} {
		m := findMethod(n, form.marshal, marshalSignature)
		u := findMethod(n, form.unmarshal, unmarshalSignature)
		switch {
		case m == nil && u == nil:
			continue
		case m == nil:
			return true, []fault{t.bad(n, "it has "+form.unmarshal+" but no "+form.marshal)}
		case u == nil:
			return true, []fault{t.bad(n, "it has "+form.marshal+" but no "+form.unmarshal)}
		case isStruct(n) && (m.from != "" || u.from != ""):
			from := m.from
			if from == "" {
				from = u.from
			}
			return true, []fault{t.bad(n, form.marshal+" comes from the embedded "+from+" and would drop every other field; give that field a name")}
		}
		typ.Kind, typ.PointerMarshal = form.kind, m.pointer
		typ.Under = underKind(n)
		return true, nil
	}
	return false, nil
}

// underKind returns the kind of the Go type below a type's methods.
func underKind(n *types.Named) model.Kind {
	switch u := n.Underlying().(type) {
	case *types.Basic:
		return basicKinds[u.Kind()]
	case *types.Slice:
		return model.Slice
	case *types.Array:
		return model.Array
	case *types.Map:
		return model.Map
	case *types.Pointer:
		return model.Pointer
	}
	return model.Struct
}

// elem describes the element of a pointer, list or map.
func (t *typeTable) elem(typ *model.Type, gt types.Type, step string) []fault {
	elem, faults := t.build(gt)
	typ.Elem = elem
	return prefix(step, faults)
}

// prefix puts a step in front of the paths of faults.
func prefix(step string, faults []fault) []fault {
	out := make([]fault, len(faults))
	for i, f := range faults {
		f.path = step + f.path
		out[i] = f
	}
	return out
}

// mapKey describes the key of a map.
func (t *typeTable) mapKey(typ *model.Type, gt types.Type) []fault {
	key, faults := t.build(gt)
	if len(faults) > 0 {
		return prefix("[key of map]", faults)
	}
	typ.Key = key
	b, _ := types.Unalias(gt).Underlying().(*types.Basic)
	isString := b != nil && b.Kind() == types.String
	switch k := key.Kind; {
	case k == model.Text && isString:
		return []fault{t.bad(gt, "as a map key its text methods would be used for reading only; use string")}
	case k == model.Text && !key.PointerMarshal, k == model.String, k >= model.Int && k <= model.Uint64:
		return nil
	case k == model.Text:
		return []fault{t.bad(gt, "as a map key its MarshalText needs a value receiver")}
	case k == model.Duration:
		return []fault{t.bad(gt, "as a map key it has no fixed form; use int64 or string")}
	}
	return []fault{t.bad(gt, "a map key must be a string, an integer or have MarshalText and UnmarshalText")}
}

// method is a method that decides a type's stored form.
type method struct {
	pointer bool   // needs a pointer receiver
	from    string // embedded field that it is promoted from, or ""
}

func findMethod(n *types.Named, name string, fits func(*types.Signature) bool) *method {
	obj, index, _ := types.LookupFieldOrMethod(n, true, nil, name)
	fn, ok := obj.(*types.Func)
	if !ok || !fits(fn.Signature()) {
		return nil
	}
	m := &method{pointer: types.NewMethodSet(n).Lookup(nil, name) == nil}
	if len(index) > 1 {
		if st, ok := n.Underlying().(*types.Struct); ok {
			m.from = st.Field(index[0]).Name()
		}
	}
	return m
}

// anyMarshal reports whether a type, or a pointer to it, defines its form.
func anyMarshal(gt types.Type) bool {
	n, ok := types.Unalias(gt).(*types.Named)
	return ok && (findMethod(n, "MarshalJSON", marshalSignature) != nil || findMethod(n, "MarshalText", marshalSignature) != nil)
}

func isBytes(t types.Type) bool {
	s, ok := t.Underlying().(*types.Slice)
	return ok && types.Identical(s.Elem(), types.Typ[types.Uint8])
}

func isError(t types.Type) bool { return types.Identical(t, types.Universe.Lookup("error").Type()) }

// marshalSignature fits func() ([]byte, error).
func marshalSignature(s *types.Signature) bool {
	return s.Params().Len() == 0 && s.Results().Len() == 2 && isBytes(s.Results().At(0).Type()) && isError(s.Results().At(1).Type())
}

// unmarshalSignature fits func([]byte) error.
func unmarshalSignature(s *types.Signature) bool {
	return s.Params().Len() == 1 && isBytes(s.Params().At(0).Type()) && s.Results().Len() == 1 && isError(s.Results().At(0).Type())
}

// isZeroMethod reports whether a type has IsZero() bool, and whether only a
// pointer to it does.
func isZeroMethod(gt types.Type) (has, pointer bool) {
	obj, _, _ := types.LookupFieldOrMethod(gt, true, nil, "IsZero")
	fn, ok := obj.(*types.Func)
	if !ok || fn.Signature().Params().Len() != 0 || fn.Signature().Results().Len() != 1 ||
		!types.Identical(fn.Signature().Results().At(0).Type(), types.Typ[types.Bool]) {
		return false, false
	}
	return true, types.NewMethodSet(gt).Lookup(nil, "IsZero") == nil
}
