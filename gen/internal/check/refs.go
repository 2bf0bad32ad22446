package check

import (
	"go/types"
	"reflect"
	"slices"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/directive"
	"github.com/jobgen/jobgen/gen/internal/load"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// refs resolves the fields that a key names for the job itself.
func (c *checker) refs(f *load.Func, m merged, key string, args *types.Named) []model.FieldRef {
	if m.has(key) == 0 {
		return nil
	}
	return c.fieldRefs(f, m[key].Setting, args)
}

// fieldRefs resolves fields of the argument struct, such as Customer.ID.
func (c *checker) fieldRefs(f *load.Func, s *load.Setting, args *types.Named) []model.FieldRef {
	if args == nil {
		if f.Object != nil && takesNoArguments(f.Object.Signature()) {
			c.report("JG050", s.Pos, s.Key.Name+" names fields, but "+f.Decl.Name.Name+" takes no arguments")
		}
		return nil
	}
	var refs []model.FieldRef
	for i, v := range s.Values {
		if ref, ok := c.fieldRef(f, s, i, v.Text, args); ok {
			refs = append(refs, ref)
		}
	}
	return refs
}

// takesNoArguments reports whether a handler has nothing where its arguments
// would stand.
func takesNoArguments(sig *types.Signature) bool {
	if sig.Params().Len() < 2 {
		return true
	}
	second := types.Unalias(sig.Params().At(1).Type())
	return isParent(second) || isNamed(second, runtimePath, "None")
}

func (c *checker) fieldRef(f *load.Func, s *load.Setting, i int, text string, args *types.Named) (model.FieldRef, bool) {
	var ref model.FieldRef
	var at types.Type = args
	secret := ""
	where := args.Obj().Name()
	for _, name := range strings.Split(text, ".") {
		if p, ok := types.Unalias(at).Underlying().(*types.Pointer); ok {
			at = p.Elem()
		}
		at = types.Unalias(at)
		if invalid(at) {
			return ref, false
		}
		if !isStruct(at) {
			c.fieldFault(s, i, where+" is "+c.types.short(at)+" and has no field "+name)
			return ref, false
		}
		obj, index, _ := types.LookupFieldOrMethod(at, true, f.Object.Pkg(), name)
		field, ok := obj.(*types.Var)
		if !ok {
			fields := fieldNames(at)
			d := c.fieldFault(s, i, where+" has no field "+name+hintList(name, fields))
			if near := diag.Suggest(name, fields); near != "" {
				d.Fixes = s.ValueFix(i, strings.Replace(text, name, near, 1))
			}
			return ref, false
		}
		if secret == "" && isSecret(at, index) {
			secret = where + "." + name
		}
		at = field.Type()
		where += "." + name
		step, faults := c.types.build(at)
		if step == nil || len(faults) > 0 {
			return ref, false // reported with the arguments
		}
		ref.Steps = append(ref.Steps, model.FieldStep{Name: name, Type: step})
	}
	if secret == "" && holdsSecret(ref.Leaf()) {
		secret = where
	}
	if secret != "" {
		c.valueFault("JG076", s, i, s.Key.Name+": "+secret+" is secret, and the key would outlive it outside the arguments; use a field that is not, such as an id or a hash")
		return ref, false
	}
	if why := badKey(s.Key.Name, ref.Leaf()); why != "" {
		c.fieldFault(s, i, where+" ("+c.types.short(at)+") "+why)
		return ref, false
	}
	return ref, true
}

// keysAreStored reports fields of keys that rows don't hold. A
// worker, and an enqueue that passes arguments on, would see their zero values:
// all jobs of the kind would be one.
func (c *checker) keysAreStored(j *model.Job, m merged) {
	check := func(key string, refs []model.FieldRef) {
		for _, ref := range refs {
			if _, stored := ref.Stored(j.Args); stored {
				continue
			}
			s := m[key].Setting
			i := slices.IndexFunc(s.Values, func(v directive.Value) bool { return v.Text == ref.String() })
			c.fieldFault(s, i, j.Args.Name.Name+"."+ref.String()+" is not stored, so all jobs would have one key where it is made from a row; name a field that is in the JSON")
		}
	}
	if j.Settings.Unique != nil {
		check("unique", j.Settings.Unique.Fields)
	}
	check("once", j.Settings.Once)
	for _, key := range limitKeys {
		if m.has(key) > 0 {
			check(key, j.Settings.LimitKey)
		}
	}
}

// isSecret reports whether the field at an index path of a struct, or one that it is promoted through, is tagged
// job:"secret".
func isSecret(t types.Type, index []int) bool {
	for _, i := range index {
		if p, ok := t.Underlying().(*types.Pointer); ok {
			t = p.Elem()
		}
		st, ok := t.Underlying().(*types.Struct)
		if !ok {
			return false
		}
		if slices.Contains(strings.Split(reflect.StructTag(st.Tag(i)).Get("job"), ","), "secret") {
			return true
		}
		t = st.Field(i).Type()
	}
	return false
}

// holdsSecret reports whether a stored value has a part that is tagged job:"secret".
func holdsSecret(t *model.Type) bool {
	if t == nil {
		return false
	}
	for _, f := range t.Fields {
		if f.Secret || holdsSecret(f.Type) {
			return true
		}
	}
	return holdsSecret(t.Elem)
}

func (c *checker) fieldFault(s *load.Setting, i int, why string) *diag.Diagnostic {
	d := c.report("JG050", s.ValuePos(i), s.Key.Name+": "+why)
	d.End = s.ValueEnd(i)
	return d
}

// badKey says why a field can't be part of a key, or "".
func badKey(setting string, t *model.Type) string {
	for t.Kind == model.Pointer {
		t = t.Elem
	}
	switch t.Kind {
	case model.Float32, model.Float64:
		return "is a float, and equal amounts need not be equal floats; use an integer or a text"
	case model.Struct, model.Slice, model.Map, model.Array, model.RawMessage:
		if setting != "unique" {
			return "is no single value; name a field in it"
		}
	}
	return ""
}

func fieldNames(t types.Type) []string {
	st, ok := t.Underlying().(*types.Struct)
	if !ok {
		return nil
	}
	var names []string
	for f := range st.Fields() {
		if f.Exported() {
			names = append(names, f.Name())
		}
	}
	return names
}

// hintList proposes the nearest candidate, or lists all.
func hintList(name string, all []string) string {
	if near := diag.DidYouMean(name, all); near != "" {
		return near
	}
	if len(all) == 0 {
		return ""
	}
	return "; it has: " + strings.Join(all, " ")
}

// permanent resolves the errors of permanent=.
func (c *checker) permanent(f *load.Func, m merged) []model.ErrorRef {
	if m.has("permanent") == 0 {
		return nil
	}
	s := m["permanent"].Setting
	var refs []model.ErrorRef
	for i, v := range s.Values {
		qualifier, name, ok := strings.Cut(v.Text, ".")
		if !ok {
			qualifier, name = "", v.Text
		}
		fault := func(why string) *diag.Diagnostic {
			d := c.report("JG051", s.ValuePos(i), "permanent: "+why)
			d.End = s.ValueEnd(i)
			return d
		}
		obj := c.src.Lookup(f, qualifier, name)
		if obj == nil {
			if qualifier != "" {
				fault(v.Text + " is not declared in a package that this file imports")
				continue
			}
			all := c.src.VarNames(f)
			d := fault(name + " is not declared in package " + f.Package.Name + diag.DidYouMean(name, all))
			if near := diag.Suggest(name, all); near != "" {
				d.Fixes = s.ValueFix(i, near)
			}
			continue
		}
		ref, why := errorRef(obj)
		if why == "" && !visible(c.opts.OutPath+"/"+WorkerDir, obj.Pkg().Path()) {
			why = v.Text + " is in an internal package that the registry can't import"
		}
		if why != "" {
			fault(why)
			continue
		}
		c.imports[ref.Name.Path] = ref.Name.Pkg
		refs = append(refs, ref)
	}
	return refs
}

// errorRef describes a variable of an error type or an error type; why is what
// keeps it from being one.
func errorRef(obj types.Object) (ref model.ErrorRef, why string) {
	errorType := types.Universe.Lookup("error").Type().Underlying().(*types.Interface)
	ref.Name = model.Name{Path: obj.Pkg().Path(), Pkg: obj.Pkg().Name(), Name: obj.Name()}
	t := obj.Type()
	if invalid(t) {
		return ref, obj.Name() + " has a type that can't be found out"
	}
	switch obj.(type) {
	case *types.Var:
		if !types.Implements(t, errorType) {
			why = obj.Name() + " is a variable of type " + types.TypeString(t, types.RelativeTo(obj.Pkg())) + ", not an error"
		}
	case *types.TypeName:
		ref.IsType = true
		switch {
		case types.IsInterface(t):
			why = obj.Name() + " is an interface; name an error variable or a concrete error type"
		case types.Implements(t, errorType):
		case types.Implements(types.NewPointer(t), errorType):
			ref.Pointer = true
		default:
			why = "type " + obj.Name() + " has no method Error() string"
		}
	default:
		why = obj.Name() + " is neither a variable nor a type"
	}
	if why == "" && !obj.Exported() {
		why = obj.Name() + " is unexported, so the registry can't name it; call it " + exportedName(obj.Name())
	}
	return ref, why
}

// verify checks the function of verify=, which must have the types of the job.
func (c *checker) verify(h *handler) {
	if h.settings.has("verify") == 0 || len(h.job.Settings.Once) == 0 {
		return
	}
	s := h.settings["verify"].Setting
	name := s.Text()
	fn := h.f.Verify()
	if fn == nil {
		all := c.src.FuncNames(h.f)
		slices.Sort(all)
		d := c.valueFault("JG052", s, 0, "verify: "+name+" is not a function of package "+h.f.Package.Name+diag.DidYouMean(name, all))
		if near := diag.Suggest(name, all); near != "" {
			d.Fixes = s.ValueFix(0, near)
		}
		return
	}
	if fn.Object == nil {
		return // reported as a type error
	}
	want := "func(context.Context, " + c.types.short(h.args) + ") ("
	if h.result != nil {
		want += c.types.short(h.result) + ", "
	}
	want += "bool, error)"
	why := ""
	switch {
	case fn.Method && (h.job.Receiver == nil || !h.f.Owns(fn)):
		why = "is a method of another type than the job's; name a function, or a method of the job's receiver"
	case !fn.Object.Exported():
		why = "is unexported, so the registry can't name it; call it " + exportedName(fn.Name.Name)
	case fn.Object.Signature().TypeParams() != nil || !c.verifies(fn.Object.Signature(), h):
		why = "must be " + want + ": it tells whether the work was done"
		if h.result != nil {
			why += ", and with which result"
		}
	}
	if why != "" {
		c.valueFault("JG077", s, 0, "verify: "+name+" "+why, diag.Note{Pos: fn.Pos, Message: "it is declared here"})
		return
	}
	c.everywhere(fn)
	h.job.Verify = &model.Verify{Func: fn.Name, Method: fn.Method}
}

// everywhere reports a function that the registry could not name in every build.
func (c *checker) everywhere(fn *load.Function) {
	if fn.Constraint != "" {
		c.report("JG014", fn.Pos, fn.Name.Name+" is not in every build, because of "+fn.Constraint+"; the registry could not name it everywhere: move it to a file without a constraint")
	}
}

// verifies reports whether a function fits verify= of a job.
func (c *checker) verifies(sig *types.Signature, h *handler) bool {
	in, out := sig.Params(), sig.Results()
	if sig.Variadic() || in.Len() != 2 || !isNamed(in.At(0).Type(), "context", "Context") || !types.Identical(in.At(1).Type(), h.args) {
		return false
	}
	n := out.Len()
	if n < 2 || !isError(out.At(n-1).Type()) || !types.Identical(out.At(n-2).Type(), types.Typ[types.Bool]) {
		return false
	}
	if h.result == nil {
		return n == 2
	}
	return n == 3 && types.Identical(out.At(0).Type(), h.result)
}
