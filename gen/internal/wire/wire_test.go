package wire

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobgen/jobgen/gen/internal/model"
)

func leaf(k model.Kind) *model.Type { return &model.Type{Kind: k} }

func field(json string, t *model.Type) *model.Field {
	return &model.Field{Name: json, JSON: json, Type: t}
}

func object(fs ...*model.Field) *model.Type { return &model.Type{Kind: model.Struct, Fields: fs} }

func TestSchemaListsPathsAndKinds(t *testing.T) {
	line := object(field("qty", leaf(model.Int)), field("sku", leaf(model.String)))
	typ := object(
		field("lines", &model.Type{Kind: model.Slice, Elem: line}),
		field("id", leaf(model.Int64)),
		field("customer", &model.Type{Kind: model.Pointer, Elem: object(field("id", leaf(model.Text)))}),
		field("rates", &model.Type{Kind: model.Map, Key: leaf(model.String), Elem: leaf(model.Float64)}),
		field("hash", &model.Type{Kind: model.Array, Len: 4, Elem: leaf(model.Uint8)}),
		field("note", &model.Type{Kind: model.Pointer, Elem: leaf(model.String)}),
		field("a.b", leaf(model.Bool)),
		field("empty", object()),
	)
	want := []string{
		`."a.b" bool`,
		".customer struct?",
		".customer.id text",
		".empty struct",
		".hash[4] uint8",
		".id int64",
		".lines[].qty int",
		".lines[].sku string",
		".note string?",
		".rates{string} float64",
	}
	if diff := cmp.Diff(want, Schema(typ).Lines); diff != "" {
		t.Error(diff)
	}
}

func TestFingerprintSeesTheWireAndNothingElse(t *testing.T) {
	base := object(field("id", leaf(model.Int64)), field("email", leaf(model.String)))
	fp := func(t *model.Type) string { return Schema(t).Fingerprint }

	moved := object(field("email", leaf(model.String)), field("id", leaf(model.Int64)))
	moved.Name = &model.Name{Path: "elsewhere", Pkg: "elsewhere", Name: "Other"}
	moved.Fields[0].Name = "Mail"
	moved.Fields[0].Secret = true
	if fp(base) != fp(moved) {
		t.Error("order of fields, Go names or packages change the fingerprint")
	}
	for name, other := range map[string]*model.Type{
		"a renamed field":   object(field("id", leaf(model.Int64)), field("mail", leaf(model.String))),
		"another kind":      object(field("id", leaf(model.Int32)), field("email", leaf(model.String))),
		"a pointer":         object(field("id", leaf(model.Int64)), field("email", &model.Type{Kind: model.Pointer, Elem: leaf(model.String)})),
		"a list":            object(field("id", leaf(model.Int64)), field("email", &model.Type{Kind: model.Slice, Elem: leaf(model.String)})),
		"a field less":      object(field("id", leaf(model.Int64))),
		"a struct, no leaf": object(),
	} {
		if fp(base) == fp(other) {
			t.Errorf("%s does not change the fingerprint", name)
		}
	}
	if got := fp(base); len(got) != 16 {
		t.Errorf("fingerprint %q is not 16 digits", got)
	}
	// Stored rows carry fingerprints, so the rule for making them must not drift.
	if got, want := fp(base), "fdbf4cbfd6855944"; got != want {
		t.Errorf("fingerprint = %s, want %s", got, want)
	}
}
