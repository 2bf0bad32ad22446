package lock

import (
	"maps"
	"slices"

	"github.com/jobgen/jobgen/gen/internal/diag"
)

// difference is one place in which two shapes differ.
type difference struct {
	rule     string
	path     string // in the old shape; "" is the root
	at       string // in the new shape; for FieldNoRename the new name, for FieldNoDelete the parent
	old, now *shape
}

// walk reports what rows of the old shape mean under the new one. What only
// adds is not reported.
func walk(old, now *shape, path string, report func(difference)) {
	if old.sort != now.sort || old.length != now.length || old.sort == leaf && !widens(old.kind, now.kind) || old.sort == dict && !widens(old.key, now.key) {
		report(difference{FieldSameKind, path, path, old, now})
		return
	}
	if old.null && !now.null {
		report(difference{FieldNull, path, path, old, now})
	}
	switch old.sort {
	case list:
		walk(old.elem, now.elem, path+"[]", report)
	case array:
		walk(old.elem, now.elem, path+"["+old.length+"]", report)
	case dict:
		walk(old.elem, now.elem, path+"{"+old.key+"}", report)
	case object:
		walkFields(old, now, path, report)
	}
}

func walkFields(old, now *shape, path string, report func(difference)) {
	var added []string
	for _, name := range slices.Sorted(maps.Keys(now.fields)) {
		if old.fields[name] == nil {
			added = append(added, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old.fields)) {
		was := old.fields[name]
		if is := now.fields[name]; is != nil {
			walk(was, is, path+"."+name, report)
			continue
		}
		alike := slices.DeleteFunc(slices.Clone(added), func(n string) bool { return !was.equal(now.fields[n]) })
		if len(alike) == 0 {
			report(difference{FieldNoDelete, path + "." + name, path, was, nil})
			continue
		}
		to := diag.Suggest(name, alike)
		if to == "" {
			to = alike[0]
		}
		added = slices.DeleteFunc(added, func(n string) bool { return n == to })
		report(difference{FieldNoRename, path + "." + name, path + "." + to, was, now.fields[to]})
	}
}

// wider lists, for each kind of number, the kinds that hold all its values in
// the same JSON. int and uint have 64 bits.
var wider = map[string][]string{
	"int8":    {"int16", "int32", "int64", "int"},
	"int16":   {"int32", "int64", "int"},
	"int32":   {"int64", "int"},
	"int64":   {"int"},
	"int":     {"int64"},
	"uint8":   {"uint16", "uint32", "uint64", "uint", "int16", "int32", "int64", "int"},
	"uint16":  {"uint32", "uint64", "uint", "int32", "int64", "int"},
	"uint32":  {"uint64", "uint", "int64", "int"},
	"uint64":  {"uint"},
	"uint":    {"uint64"},
	"float32": {"float64"},
}

// widens reports whether every stored value of kind old is one of kind now.
func widens(old, now string) bool { return old == now || slices.Contains(wider[old], now) }
