package templates_test

import (
	"encoding"
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// describer makes model types out of reflect types, so that these tests need no loader.
type describer struct {
	types   map[reflect.Type]*model.Type
	imports map[string]string
}

func newDescriber() *describer {
	return &describer{types: make(map[reflect.Type]*model.Type), imports: make(map[string]string)}
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	zeroer        = reflect.TypeFor[interface{ IsZero() bool }]()
)

var basicKinds = map[reflect.Kind]model.Kind{
	reflect.Bool: model.Bool, reflect.Int: model.Int, reflect.Int8: model.Int8, reflect.Int16: model.Int16,
	reflect.Int32: model.Int32, reflect.Int64: model.Int64, reflect.Uint: model.Uint, reflect.Uint8: model.Uint8,
	reflect.Uint16: model.Uint16, reflect.Uint32: model.Uint32, reflect.Uint64: model.Uint64,
	reflect.Float32: model.Float32, reflect.Float64: model.Float64, reflect.String: model.String,
	reflect.Slice: model.Slice, reflect.Array: model.Array, reflect.Map: model.Map, reflect.Pointer: model.Pointer,
	reflect.Struct: model.Struct,
}

// of describes t.
func (d *describer) of(t reflect.Type) *model.Type {
	if known := d.types[t]; known != nil {
		return known
	}
	m := &model.Type{Kind: basicKinds[t.Kind()], Comparable: t.Comparable()}
	d.types[t] = m
	pointer := reflect.PointerTo(t)
	switch {
	case t == reflect.TypeFor[time.Time]():
		m.Kind = model.Time
	case t == reflect.TypeFor[time.Duration]():
		m.Kind = model.Duration
	case t == reflect.TypeFor[json.RawMessage]():
		m.Kind = model.RawMessage
	case t.Kind() != reflect.Pointer && pointer.Implements(jsonMarshaler):
		m.Under, m.Kind, m.PointerMarshal = m.Kind, model.JSON, !t.Implements(jsonMarshaler)
	case t.Kind() != reflect.Pointer && pointer.Implements(textMarshaler):
		m.Under, m.Kind, m.PointerMarshal = m.Kind, model.Text, !t.Implements(textMarshaler)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 &&
		!reflect.PointerTo(t.Elem()).Implements(jsonMarshaler) && !reflect.PointerTo(t.Elem()).Implements(textMarshaler):
		m.Kind = model.Bytes
	}
	m.HasIsZero = t.Implements(zeroer)
	if t.Kind() != reflect.Pointer && !m.HasIsZero && pointer.Implements(zeroer) {
		m.HasIsZero, m.PointerIsZero = true, true
	}
	m.Go = d.expr(t)
	m.ID = t.String()
	if t.PkgPath() != "" {
		m.ID = t.PkgPath() + "." + t.Name()
		if !strings.Contains(t.Name(), "[") {
			m.Name = &m.Go[0].Name
		}
	}
	switch m.Kind {
	case model.Slice, model.Pointer:
		m.Elem = d.of(t.Elem())
	case model.Array:
		m.Elem, m.Len = d.of(t.Elem()), int64(t.Len())
	case model.Map:
		m.Key, m.Elem = d.of(t.Key()), d.of(t.Elem())
	case model.Struct:
		d.fields(m, t)
	}
	return m
}

// name describes a defined type; of a generic one only what stands before the bracket.
func (d *describer) name(t reflect.Type) model.Name {
	pkg, _, _ := strings.Cut(t.String(), ".")
	d.imports[t.PkgPath()] = pkg
	base, _, _ := strings.Cut(t.Name(), "[")
	return model.Name{Path: t.PkgPath(), Pkg: pkg, Name: base}
}

func text(s string) model.Token { return model.Token{Text: s} }

// expr spells t as Go source.
func (d *describer) expr(t reflect.Type) model.Expr {
	if t.PkgPath() != "" {
		e := model.Expr{{Name: d.name(t)}}
		if strings.Contains(t.Name(), "[") {
			items, _ := t.FieldByName("Items")
			e = append(append(append(e, text("[")), d.expr(items.Type.Elem())...), text("]"))
		}
		return e
	}
	switch t.Kind() {
	case reflect.Slice:
		return append(model.Expr{text("[]")}, d.expr(t.Elem())...)
	case reflect.Pointer:
		return append(model.Expr{text("*")}, d.expr(t.Elem())...)
	case reflect.Array:
		return append(model.Expr{text(fmt.Sprintf("[%d]", t.Len()))}, d.expr(t.Elem())...)
	case reflect.Map:
		e := append(model.Expr{text("map[")}, d.expr(t.Key())...)
		return append(append(e, text("]")), d.expr(t.Elem())...)
	case reflect.Struct:
		e := model.Expr{text("struct{")}
		for f := range t.Fields() {
			e = append(append(append(e, text(f.Name+" ")), d.expr(f.Type)...), text(fmt.Sprintf(" %#q; ", string(f.Tag))))
		}
		return append(e, text("}"))
	default:
		return model.Expr{text(t.Name())}
	}
}

// fields fills in a struct's fields as encoding/json sees them, as far as the tests' types go.
func (d *describer) fields(m *model.Type, t reflect.Type) {
	depth := make(map[string]int)
	var walk func(t reflect.Type, at []string)
	walk = func(t reflect.Type, at []string) {
		for f := range t.Fields() {
			tag := f.Tag.Get("json")
			name, options, _ := strings.Cut(tag, ",")
			here := append(at[:len(at):len(at)], f.Name)
			switch {
			case tag == "-" || !f.IsExported():
				continue
			case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
				walk(f.Type, here)
				continue
			case name == "":
				name = f.Name
			}
			field := &model.Field{
				Name: f.Name, Path: here, JSON: name, Type: d.of(f.Type), Secret: f.Tag.Get("job") == "secret",
				OmitEmpty: strings.Contains(options, "omitempty"), OmitZero: strings.Contains(options, "omitzero"),
			}
			if old, taken := depth[name]; taken {
				if old <= len(here) {
					continue
				}
				m.Fields = dropField(m.Fields, name)
			}
			depth[name] = len(here)
			m.Fields = append(m.Fields, field)
		}
	}
	walk(t, nil)
	m.Shape = []model.ShapeField{}
	for f := range t.Fields() {
		if !f.IsExported() {
			m.Shape = nil
			return
		}
		m.Shape = append(m.Shape, model.ShapeField{Name: f.Name, Embedded: f.Anonymous, Tag: string(f.Tag), Type: d.expr(f.Type)})
	}
}

func dropField(fields []*model.Field, name string) []*model.Field {
	var kept []*model.Field
	for _, f := range fields {
		if f.JSON != name {
			kept = append(kept, f)
		}
	}
	return kept
}

// importList lists what the types mention.
func (d *describer) importList(more ...string) []model.Import {
	var list []model.Import
	for p, name := range d.imports {
		list = append(list, model.Import{Path: p, Name: name})
	}
	for _, p := range more {
		list = append(list, model.Import{Path: p, Name: path.Base(p)})
	}
	return list
}
