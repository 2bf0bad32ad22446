package templates

import (
	"strconv"

	"github.com/dave/jennifer/jen"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// decodeFunc emits the function that reads a type. The reader keeps the first error and from then on has no more
// fields, so that nothing here checks for one.
//
//	func decodeJobsReceipt(r *jobjson.Reader, v *jobs.Receipt) {
//		if !r.Object() {
//			return
//		}
//		for r.More() {
//			switch string(r.Key()) {
//			case "message_id":
//				jobjson.ReadString(r, &v.MessageID)
//			default:
//				r.Skip()
//			}
//		}
//	}
func (r *renderer) decodeFunc(f *jen.File, c *codec) {
	f.Line()
	f.Func().Id(c.decode).Params(jen.Id("r").Op("*").Qual(pathJobjson, "Reader"), jen.Id("v").Op("*").Add(expr(c.typ.Go))).BlockFunc(func(g *jen.Group) {
		if c.typ.Kind != model.Struct {
			r.decodeValue(g, c.typ, argument(), 1)
			return
		}
		g.If(jen.Op("!").Id("r").Dot("Object").Call()).Block(jen.Return())
		g.For(more()).BlockFunc(func(g *jen.Group) {
			if len(c.typ.Fields) == 0 {
				g.Add(skip())
				return
			}
			g.Switch(jen.String().Call(jen.Id("r").Dot("Key").Call())).BlockFunc(func(g *jen.Group) {
				for _, field := range c.typ.Fields {
					g.Case(jen.Lit(field.JSON)).BlockFunc(func(g *jen.Group) {
						if field.Secret {
							g.Id("r").Dot("Secret").Call()
						}
						r.decodeValue(g, field.Type, variable("v").within(field.Path), 1)
					})
				}
				g.Default().Block(skip())
			})
		})
	})
}

// decodeValue emits the code that reads the next value into p. Null empties pointers, slices and maps and leaves
// everything else as it is.
func (r *renderer) decodeValue(g *jen.Group, t *model.Type, p place, depth int) {
	read := func(fn string) { g.Qual(pathJobjson, fn).Call(jen.Id("r"), p.address()) }
	switch t.Kind {
	case model.Bool:
		read("ReadBool")
	case model.Int, model.Int8, model.Int16, model.Int32, model.Int64, model.Duration:
		read("ReadInt")
	case model.Uint, model.Uint8, model.Uint16, model.Uint32, model.Uint64:
		read("ReadUint")
	case model.Float32:
		read("ReadFloat32")
	case model.Float64:
		read("ReadFloat64")
	case model.String:
		read("ReadString")
	case model.Bytes:
		read("ReadBytes")
	case model.RawMessage:
		read("ReadRaw")
	case model.Time, model.JSON:
		read("ReadUnmarshaler")
	case model.Text:
		switch t.Under {
		case model.Slice, model.Bytes, model.Map:
			g.If(null()).Block(p.value().Op("=").Nil()).Else().Block(jen.Qual(pathJobjson, "ReadText").Call(jen.Id("r"), p.address()))
		default:
			read("ReadText")
		}
	case model.Struct:
		g.Id(r.codecs[t].decode).Call(jen.Id("r"), p.address())
	case model.Pointer:
		g.If(null()).Block(p.value().Op("=").Nil()).Else().BlockFunc(func(g *jen.Group) {
			g.If(p.value().Op("==").Nil()).Block(p.value().Op("=").New(expr(t.Elem.Go)))
			r.decodeValue(g, t.Elem, pointee(p.value), depth)
		})
	case model.Slice:
		r.decodeSlice(g, t, p, depth)
	case model.Array:
		r.decodeArray(g, t, p, depth)
	case model.Map:
		r.decodeMap(g, t, p, depth)
	}
}

// decodeSlice emits:
//
//	if r.Array() {
//		i1 := 0
//		for ; r.More(); i1++ {
//			decodeJobsLine(r, jobjson.Element(&v.Lines, i1))
//		}
//		jobjson.Truncate(&v.Lines, i1)
//	} else {
//		v.Lines = nil
//	}
func (r *renderer) decodeSlice(g *jen.Group, t *model.Type, p place, depth int) {
	i := "i" + strconv.Itoa(depth)
	g.If(jen.Id("r").Dot("Array").Call()).BlockFunc(func(g *jen.Group) {
		g.Id(i).Op(":=").Lit(0)
		g.For(jen.Empty(), more(), jen.Id(i).Op("++")).BlockFunc(func(g *jen.Group) {
			element := pointee(func() *jen.Statement {
				return jen.Qual(pathJobjson, "Element").Call(p.address(), jen.Id(i))
			})
			if usedOnce(t.Elem) {
				r.decodeValue(g, t.Elem, element, depth+1)
				return
			}
			e := "e" + strconv.Itoa(depth)
			g.Id(e).Op(":=").Add(element.address())
			r.decodeValue(g, t.Elem, pointee(func() *jen.Statement { return jen.Id(e) }), depth+1)
		})
		g.Qual(pathJobjson, "Truncate").Call(p.address(), jen.Id(i))
	}).Else().Block(p.value().Op("=").Nil())
}

// usedOnce reports whether decodeValue mentions the place of a t once only.
func usedOnce(t *model.Type) bool {
	switch t.Kind {
	case model.Pointer, model.Slice, model.Array, model.Map, model.Text:
		return false
	default:
		return true
	}
}

// decodeArray emits a loop that drops what is too much and zeroes what is missing.
func (r *renderer) decodeArray(g *jen.Group, t *model.Type, p place, depth int) {
	i := "i" + strconv.Itoa(depth)
	g.If(jen.Id("r").Dot("Array").Call()).BlockFunc(func(g *jen.Group) {
		g.Id(i).Op(":=").Lit(0)
		g.For(jen.Empty(), more(), jen.Id(i).Op("++")).BlockFunc(func(g *jen.Group) {
			g.If(jen.Id(i).Op(">=").Len(p.value())).Block(skip(), jen.Continue())
			if t.Len > 0 {
				r.decodeValue(g, t.Elem, p.at(i), depth+1)
			}
		})
		g.Clear(p.operand().Index(jen.Min(jen.Id(i), jen.Len(p.value())), jen.Empty()))
	})
}

// decodeMap emits a loop that adds entries, so that of two equal keys the later one counts.
func (r *renderer) decodeMap(g *jen.Group, t *model.Type, p place, depth int) {
	k, e := "k"+strconv.Itoa(depth), "e"+strconv.Itoa(depth)
	g.If(jen.Id("r").Dot("Map").Call()).BlockFunc(func(g *jen.Group) {
		g.If(p.value().Op("==").Nil()).Block(p.value().Op("=").Make(expr(t.Go)))
		g.For(more()).BlockFunc(func(g *jen.Group) {
			switch t.Key.Kind {
			case model.String:
				g.Id(k).Op(":=").Add(expr(t.Key.Go)).Call(jen.Id("r").Dot("Key").Call())
			case model.Text:
				if t.Key.Under == model.String {
					g.Id(k).Op(":=").Add(expr(t.Key.Go)).Call(jen.Id("r").Dot("Key").Call())
					break
				}
				g.Var().Id(k).Add(expr(t.Key.Go))
				g.Id("r").Dot("TextKey").Call(jen.Op("&").Id(k))
			case model.Uint, model.Uint8, model.Uint16, model.Uint32, model.Uint64:
				g.Id(k).Op(":=").Qual(pathJobjson, "UintKey").Types(expr(t.Key.Go)).Call(jen.Id("r"))
			default:
				g.Id(k).Op(":=").Qual(pathJobjson, "IntKey").Types(expr(t.Key.Go)).Call(jen.Id("r"))
			}
			g.Var().Id(e).Add(expr(t.Elem.Go))
			r.decodeValue(g, t.Elem, variable(e), depth+1)
			g.Add(p.operand()).Index(jen.Id(k)).Op("=").Id(e)
		})
	}).Else().Block(p.value().Op("=").Nil())
}

func more() *jen.Statement { return jen.Id("r").Dot("More").Call() }
func skip() *jen.Statement { return jen.Id("r").Dot("Skip").Call() }
func null() *jen.Statement { return jen.Id("r").Dot("Null").Call() }
