package templates

import (
	"strconv"

	"github.com/dave/jennifer/jen"

	"github.com/jobgen/jobgen/gen/internal/model"
	"github.com/jobgen/jobgen/runtime/jobjson"
)

// appendFunc emits the function that writes a type:
//
//	func appendJobsReceipt(dst []byte, v *jobs.Receipt) ([]byte, error) {
//		var err error
//		dst = append(dst, `{"message_id":`...)
//		if dst, err = jobjson.AppendString(dst, v.MessageID); err != nil {
//			return dst, jobjson.At(err, ".message_id")
//		}
//		return append(dst, '}'), nil
//	}
func (r *renderer) appendFunc(f *jen.File, c *codec) {
	f.Line()
	f.Func().Id(c.append).Params(jen.Id("dst").Index().Byte(), jen.Id("v").Op("*").Add(expr(c.typ.Go))).Params(jen.Index().Byte(), jen.Error()).BlockFunc(func(g *jen.Group) {
		if c.typ.Kind == model.Struct {
			r.appendStruct(g, c.typ)
			return
		}
		e := &encoder{r: r}
		g.Var().Err().Error()
		e.value(g, c.typ, argument(), nil, 1)
		g.Return(jen.Id("dst"), jen.Nil())
	})
}

// appendStruct emits the body for a struct. Where the first field may be left out, every field is written with a comma
// in front, and CloseObject turns the first one into the brace.
func (r *renderer) appendStruct(g *jen.Group, t *model.Type) {
	if len(t.Fields) == 0 {
		g.Return(jen.Append(jen.Id("dst"), jen.Lit("{}").Op("...")), jen.Nil())
		return
	}
	for _, field := range t.Fields {
		if fallible(field.Type) {
			g.Var().Err().Error()
			break
		}
	}
	mayStartEmpty := field0Omittable(t)
	if mayStartEmpty {
		g.Id("start").Op(":=").Len(jen.Id("dst"))
	}
	for i, field := range t.Fields {
		lead := ","
		if i == 0 && !mayStartEmpty {
			lead = "{"
		}
		emit := func(g *jen.Group) {
			appendLiteral(g, lead+jsonString(field.JSON)+":")
			e := &encoder{r: r, secret: field.Secret}
			e.value(g, field.Type, variable("v").within(field.Path), []jen.Code{jen.Lit("." + field.JSON)}, 1)
		}
		if condition := present(field, variable("v").within(field.Path)); condition != nil {
			g.If(condition).BlockFunc(emit)
		} else {
			emit(g)
		}
	}
	if mayStartEmpty {
		g.Return(jen.Qual(pathJobjson, "CloseObject").Call(jen.Id("dst"), jen.Id("start")), jen.Nil())
	} else {
		g.Return(jen.Append(jen.Id("dst"), jen.LitRune('}')), jen.Nil())
	}
}

func field0Omittable(t *model.Type) bool {
	return present(t.Fields[0], variable("v")) != nil
}

// present emits the condition under which omitempty and omitzero keep a field; nil is always.
func present(f *model.Field, p place) *jen.Statement {
	var condition *jen.Statement
	if f.OmitEmpty {
		condition = notEmpty(f.Type, p)
	}
	if !f.OmitZero {
		return condition
	}
	zero := notZero(f.Type, p)
	if condition == nil {
		return zero
	}
	if !f.Type.HasIsZero && f.Type.Kind != model.JSON && f.Type.Kind != model.Text {
		return condition // what isn't empty isn't zero
	}
	return condition.Op("&&").Add(zero)
}

// notEmpty is omitempty's condition; nil where no value is empty.
func notEmpty(t *model.Type, p place) *jen.Statement {
	kind := t.Kind
	if kind == model.JSON || kind == model.Text {
		kind = t.Under
	}
	switch kind {
	case model.Bool:
		return p.value()
	case model.String:
		return p.value().Op("!=").Lit("")
	case model.Bytes, model.RawMessage, model.Slice, model.Map:
		return jen.Len(p.value()).Op("!=").Lit(0)
	case model.Array:
		if t.Kind == model.Array && t.Len == 0 {
			return jen.False()
		}
		return nil
	case model.Pointer:
		return p.value().Op("!=").Nil()
	case model.Struct, model.Invalid, model.Time, model.JSON, model.Text:
		return nil
	default: // the numbers and Duration
		return p.value().Op("!=").Lit(0)
	}
}

// notZero is omitzero's condition.
func notZero(t *model.Type, p place) *jen.Statement {
	switch {
	case t.Kind == model.Pointer && t.HasIsZero:
		return p.value().Op("!=").Nil().Op("&&").Op("!").Add(p.operand()).Dot("IsZero").Call()
	case t.HasIsZero || t.Kind == model.Time:
		return jen.Op("!").Add(p.operand()).Dot("IsZero").Call()
	}
	switch t.Kind {
	case model.Bytes, model.RawMessage, model.Slice, model.Map, model.Pointer:
		return p.value().Op("!=").Nil()
	case model.Struct, model.Array, model.JSON, model.Text:
		return jen.Op("!").Qual(pathJobjson, "IsZero").Call(p.address())
	default:
		return notEmpty(t, p)
	}
}

// encoder emits the code that writes one field's value.
type encoder struct {
	r      *renderer
	secret bool
}

// value emits the code that writes the value at p. path says where p is, for errors.
func (e *encoder) value(g *jen.Group, t *model.Type, p place, path []jen.Code, depth int) {
	switch t.Kind {
	case model.Bool:
		plain(g, "AppendBool", p.value())
	case model.Int, model.Int8, model.Int16, model.Int32, model.Int64, model.Duration:
		plain(g, "AppendInt", p.value())
	case model.Uint, model.Uint8, model.Uint16, model.Uint32, model.Uint64:
		plain(g, "AppendUint", p.value())
	case model.Bytes:
		plain(g, "AppendBytes", p.value())
	case model.Float32:
		e.checked(g, jobjsonCall("AppendFloat32", p.value()), path)
	case model.Float64:
		e.checked(g, jobjsonCall("AppendFloat64", p.value()), path)
	case model.String:
		e.checked(g, jobjsonCall("AppendString", p.value()), path)
	case model.Time:
		e.checked(g, jobjsonCall("AppendTime", timeValue(t, p)), path)
	case model.RawMessage:
		e.checked(g, jobjsonCall("AppendRaw", p.value()), path)
	case model.JSON:
		e.checked(g, jobjsonCall("AppendMarshaler", p.address()), path)
	case model.Text:
		e.checked(g, jobjsonCall("AppendText", p.address()), path)
	case model.Struct:
		e.checked(g, jen.Id(e.r.codecs[t].append).Call(jen.Id("dst"), p.address()), path)
	case model.Pointer:
		orNull(g, p, func(g *jen.Group) { e.value(g, t.Elem, pointee(p.value), path, depth) })
	case model.Slice:
		orNull(g, p, func(g *jen.Group) { e.list(g, t, p, path, depth) })
	case model.Array:
		e.list(g, t, p, path, depth)
	case model.Map:
		orNull(g, p, func(g *jen.Group) { e.object(g, t, p, path, depth) })
	}
}

// list emits a loop over a slice or an array.
func (e *encoder) list(g *jen.Group, t *model.Type, p place, path []jen.Code, depth int) {
	i := "i" + strconv.Itoa(depth)
	appendByte(g, '[')
	g.For(jen.Id(i).Op(":=").Range().Add(p.value())).BlockFunc(func(g *jen.Group) {
		g.If(jen.Id(i).Op(">").Lit(0)).BlockFunc(func(g *jen.Group) { appendByte(g, ',') })
		e.value(g, t.Elem, p.at(i), join(path, jen.Id(i)), depth+1)
	})
	appendByte(g, ']')
}

// object emits a loop over a map, in the order of its keys' text.
func (e *encoder) object(g *jen.Group, t *model.Type, p place, path []jen.Code, depth int) {
	i, entries := "i"+strconv.Itoa(depth), "e"+strconv.Itoa(depth)
	key := t.Key.Kind
	if key == model.Text && t.Key.Under == model.String {
		key = model.String // encoding/json writes string keys as they are, whatever their methods
	}
	switch key {
	case model.String:
		g.Id(entries).Op(":=").Qual(pathJobjson, "StringEntries").Call(p.value())
	case model.Text:
		g.List(jen.Id(entries), jen.Id("keyErr")).Op(":=").Qual(pathJobjson, "TextEntries").Call(p.value())
		g.If(jen.Id("keyErr").Op("!=").Nil()).Block(e.fail("keyErr", path))
	case model.Uint, model.Uint8, model.Uint16, model.Uint32, model.Uint64:
		g.Id(entries).Op(":=").Qual(pathJobjson, "UintEntries").Call(p.value())
	default:
		g.Id(entries).Op(":=").Qual(pathJobjson, "IntEntries").Call(p.value())
	}
	entry := variable(entries).at(i)
	at := join(path, jen.Qual(pathJobjson, "Key").Call(entry.value().Dot("Key")))
	appendByte(g, '{')
	g.For(jen.Id(i).Op(":=").Range().Id(entries)).BlockFunc(func(g *jen.Group) {
		g.If(jen.Id(i).Op(">").Lit(0)).BlockFunc(func(g *jen.Group) { appendByte(g, ',') })
		e.checked(g, jobjsonCall("AppendString", entry.value().Dot("Key")), at)
		appendByte(g, ':')
		e.value(g, t.Elem, entry.within([]string{"Value"}), at, depth+1)
	})
	appendByte(g, '}')
}

// checked emits a call that may fail and what to do then.
func (e *encoder) checked(g *jen.Group, call *jen.Statement, path []jen.Code) {
	g.If(jen.List(jen.Id("dst"), jen.Err()).Op("=").Add(call), jen.Err().Op("!=").Nil()).Block(e.fail("err", path))
}

// fail emits the return of an error with its place.
func (e *encoder) fail(err string, path []jen.Code) *jen.Statement {
	switch {
	case len(path) == 0:
		return jen.Return(jen.Id("dst"), jen.Id(err))
	case e.secret:
		return jen.Return(jen.Id("dst"), jen.Qual(pathJobjson, "AtSecret").Call(jen.Id(err), path[0]))
	default:
		return jen.Return(jen.Id("dst"), jen.Qual(pathJobjson, "At").Call(append([]jen.Code{jen.Id(err)}, path...)...))
	}
}

// fallible reports whether writing a value of t may fail.
func fallible(t *model.Type) bool {
	switch t.Kind {
	case model.Float32, model.Float64, model.String, model.Time, model.RawMessage, model.JSON, model.Text, model.Map, model.Struct:
		return true
	case model.Pointer, model.Slice, model.Array:
		return fallible(t.Elem)
	default:
		return false
	}
}

// timeValue emits a time.Time; another type made of it needs a conversion.
func timeValue(t *model.Type, p place) *jen.Statement {
	if t.Name == nil || t.Name.Path == "time" {
		return p.value()
	}
	return jen.Qual("time", "Time").Call(p.value())
}

// orNull emits null for a nil pointer, slice or map, and rest for others.
func orNull(g *jen.Group, p place, rest func(*jen.Group)) {
	g.If(p.value().Op("==").Nil()).BlockFunc(func(g *jen.Group) { appendLiteral(g, "null") }).Else().BlockFunc(rest)
}

func plain(g *jen.Group, fn string, value *jen.Statement) {
	g.Id("dst").Op("=").Add(jobjsonCall(fn, value))
}

func jobjsonCall(fn string, value *jen.Statement) *jen.Statement {
	return jen.Qual(pathJobjson, fn).Call(jen.Id("dst"), value)
}

func appendLiteral(g *jen.Group, s string) {
	g.Id("dst").Op("=").Append(jen.Id("dst"), jen.Add(quote(s)).Op("..."))
}

func appendByte(g *jen.Group, c rune) {
	g.Id("dst").Op("=").Append(jen.Id("dst"), jen.LitRune(c))
}

// join returns path with one part more, leaving path as it is.
func join(path []jen.Code, part jen.Code) []jen.Code {
	return append(path[:len(path):len(path)], part)
}

// jsonString returns s as JSON. The model's names are valid text.
func jsonString(s string) string {
	b, err := jobjson.AppendString(nil, s)
	if err != nil {
		return strconv.Quote(s)
	}
	return string(b)
}
