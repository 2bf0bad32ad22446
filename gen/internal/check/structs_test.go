package check

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/load"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// checkFiles loads and checks a module of the given files.
func checkFiles(t *testing.T, files map[string]string) (*model.Module, []diag.Diagnostic) {
	t.Helper()
	t.Setenv("GOPROXY", "off")
	t.Setenv("GOFLAGS", "-mod=mod")
	t.Setenv("GOWORK", "off")
	dir := t.TempDir()
	if files["go.mod"] == "" {
		files["go.mod"] = "module example.com/shop\n\ngo 1.26\n"
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	src, diags, err := load.Load(context.Background(), load.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	m, more := Check(src, Options{OutPath: "example.com/shop/gen"})
	return m, diag.Sort(append(diags, more...))
}

// spelling turns reflection's names of types into those of source.
var spelling = strings.NewReplacer("check.", "jobs.", "[]uint8", "[]byte", "]uint8", "]byte", "struct { Q int }", "struct{Q int}")

// TestFieldsAreThoseOfEncodingJSON compares, for each type of
// jsontypes_test.go, the fields in the model with the keys that encoding/json
// writes, in order.
func TestFieldsAreThoseOfEncodingJSON(t *testing.T) {
	source, err := os.ReadFile("jsontypes_test.go")
	if err != nil {
		t.Fatal(err)
	}
	handlers := "package jobs\n\nimport \"context\"\n\n"
	for _, name := range slices.Sorted(maps.Keys(jsonTypes)) {
		handlers += fmt.Sprintf("//job:handler\nfunc Do%s(ctx context.Context, a %s) error { return nil }\n\n", name, name)
	}
	m, diags := checkFiles(t, map[string]string{
		"jobs/types.go":    strings.Replace(string(source), "package check", "package jobs", 1),
		"jobs/handlers.go": handlers,
	})
	if len(diags) > 0 {
		t.Fatalf("diagnostics: %+v", diags)
	}
	if len(m.Jobs) != len(jsonTypes) {
		t.Fatalf("%d jobs, want %d", len(m.Jobs), len(jsonTypes))
	}
	for _, j := range m.Jobs {
		v := jsonTypes[j.Args.Name.Name]
		var got []string
		for _, f := range j.Args.Fields {
			got = append(got, f.JSON)
		}
		if diff := cmp.Diff(keysWritten(t, v), got); diff != "" {
			t.Errorf("%s: fields differ from encoding/json's (-json +model):\n%s", j.Args.Name.Name, diff)
		}
		for _, f := range j.Args.Fields {
			if gf, ok := fieldByPath(reflect.TypeOf(v), f.Path); !ok {
				t.Errorf("%s: no field at %v", j.Args.Name.Name, f.Path)
			} else if want := spelling.Replace(gf.Type.String()); want != f.Type.Go.String() {
				t.Errorf("%s.%s: type %s, want %s", j.Args.Name.Name, f.Name, f.Type.Go, want)
			}
		}
	}
}

// keysWritten returns the keys of v as encoding/json writes it, with nothing
// left out for being empty.
func keysWritten(t *testing.T, v any) []string {
	t.Helper()
	rv := reflect.New(reflect.TypeOf(v)).Elem()
	fill(rv)
	data, err := json.Marshal(rv.Interface())
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key.(string))
		var skip json.RawMessage
		if err := dec.Decode(&skip); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

// fill makes omitempty and omitzero fields non-zero.
func fill(v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case []int:
			f.Set(reflect.ValueOf([]int{1}))
		case json.RawMessage:
			f.Set(reflect.ValueOf(json.RawMessage("1")))
		default:
			if f.Type().String() == "time.Time" {
				f.Set(reflect.ValueOf(someTime))
			}
		}
	}
}

func fieldByPath(t reflect.Type, path []string) (reflect.StructField, bool) {
	var f reflect.StructField
	for _, name := range path {
		var ok bool
		if f, ok = t.FieldByName(name); !ok {
			return f, false
		}
		t = f.Type
	}
	return f, true
}

func TestKindsAndShape(t *testing.T) {
	source, err := os.ReadFile("jsontypes_test.go")
	if err != nil {
		t.Fatal(err)
	}
	m, diags := checkFiles(t, map[string]string{
		"jobs/types.go": strings.Replace(string(source), "package check", "package jobs", 1),
		"jobs/handlers.go": `package jobs

import "context"

//job:unique=P.Name,C
func Send(ctx context.Context, a Kinds) (Plain, error) { return Plain{}, nil }
`})
	if len(diags) > 0 {
		t.Fatalf("diagnostics: %+v", diags)
	}
	j := m.Jobs[0]
	var got []string
	for _, f := range j.Args.Fields {
		s := f.Name + " " + f.Type.Kind.String()
		if f.Type.Elem != nil {
			s += " of " + f.Type.Elem.Kind.String()
		}
		if f.Type.Key != nil {
			s += " by " + f.Type.Key.Kind.String()
		}
		if f.Type.Under != model.Invalid {
			s += " under " + f.Type.Under.String()
		}
		if f.Type.HasIsZero {
			s += " iszero"
		}
		if !f.Type.Comparable {
			s += " incomparable"
		}
		got = append(got, s)
	}
	want := []string{
		"B bool", "I int", "I8 int8", "U16 uint16", "F float32", "S string", "Raw raw incomparable", "By bytes of uint8 incomparable",
		"Arr array of uint8", "T time iszero", "D duration", "Addr text under struct", "P pointer of struct",
		"L slice of struct incomparable", "M map of slice by string incomparable", "MI map of bool by int64 incomparable",
		"MT map of int by text incomparable", "C int64", "An struct", "Sl slice of pointer incomparable",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var shape []string
	for _, f := range j.Result.Shape {
		shape = append(shape, fmt.Sprintf("%s %s `%s`", f.Name, f.Type, f.Tag))
	}
	if diff := cmp.Diff([]string{
		"ID int64 ``", "Renamed string `json:\"renamed\"`", "Skipped chan int `json:\"-\"`", "Dash string `json:\"-,\"`",
		"Empty []int `json:\"empty,omitempty\"`", "Zero time.Time `json:\",omitzero\"`", "Odd string `json:\"a b/c\"`", "Héllo string ``",
	}, shape); diff != "" {
		t.Error(diff)
	}
	u := j.Settings.Unique
	if u == nil || len(u.Fields) != 2 || u.Fields[0].String() != "P.Name" || u.Fields[0].Steps[0].Type.Kind != model.Pointer ||
		u.Fields[0].Leaf().Kind != model.String || u.Fields[1].Leaf().Kind != model.Int64 {
		t.Errorf("unique = %+v", u)
	}
}

// TestOneTypeIsDescribedOnce checks what the templates rely on to emit one
// codec a type.
func TestOneTypeIsDescribedOnce(t *testing.T) {
	m, diags := checkFiles(t, map[string]string{"jobs/jobs.go": `package jobs

import "context"

type Shared struct{ ID int }

type A struct{ S Shared; L []Shared }

type B struct{ S *Shared }

//job:handler
func One(ctx context.Context, a A) (B, error) { return B{}, nil }

//job:handler
func Two(ctx context.Context, a B) (A, error) { return A{}, nil }
`})
	if len(diags) > 0 {
		t.Fatalf("diagnostics: %+v", diags)
	}
	one, two := m.Jobs[0], m.Jobs[1]
	if one.Args != two.Result || one.Result != two.Args || one.Args.Fields[0].Type != one.Result.Fields[0].Type.Elem {
		t.Error("a type has two descriptions")
	}
	var ids []string
	for _, typ := range m.Types {
		ids = append(ids, typ.ID)
	}
	if diff := cmp.Diff([]string{"example.com/shop/jobs.A", "example.com/shop/jobs.B", "example.com/shop/jobs.Shared"}, ids); diff != "" {
		t.Error(diff)
	}
}
