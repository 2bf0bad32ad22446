package templates

import (
	"strconv"

	"github.com/dave/jennifer/jen"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// versionCheck emits two constants that overflow when the runtime is too new or too old for this code. The compiler's
// message names the type, and the type's name says what to do.
//
//	const (
//		_ = jobrt.GeneratedCodeIsTooOldRunGoGenerate(1 - jobrt.MinCodegen)
//		_ = jobrt.GeneratedCodeIsTooNewUpgradeJobgenModule(jobrt.MaxCodegen - 1)
//	)
func versionCheck(g *jen.Group) {
	comment(g, "A compile error here says that this code and the runtime don't fit, and what to do about it.")
	version := jen.Lit(CodegenVersion)
	g.Const().Defs(
		jen.Id("_").Op("=").Qual(pathJobrt, "GeneratedCodeIsTooOldRunGoGenerate").Call(jen.Add(version).Op("-").Qual(pathJobrt, "MinCodegen")),
		jen.Id("_").Op("=").Qual(pathJobrt, "GeneratedCodeIsTooNewUpgradeJobgenModule").Call(jen.Qual(pathJobrt, "MaxCodegen").Op("-").Add(version)),
	)
}

// shapeCheck emits an assignment that stops compiling when the struct is no longer what this code was generated from.
// The alias makes the compiler's message say what to do; assigning rather than converting makes it compare tags too.
//
//	type jobsReceiptChangedRunGoGenerate = struct {
//		MessageID string `json:"message_id"`
//	}
//
//	var _ jobsReceiptChangedRunGoGenerate = jobs.Receipt{}
//
// A struct that another package can't write down is checked field by field.
func (r *renderer) shapeCheck(f *jen.File, c *codec) {
	t := c.typ
	if t.Kind != model.Struct || c.anonymous {
		return
	}
	if t.Shape == nil && len(t.Fields) > 0 {
		f.Line()
		f.Type().Id(c.shape).Op("=").StructFunc(func(g *jen.Group) {
			for i, field := range t.Fields {
				g.Id("F" + strconv.Itoa(i)).Add(expr(field.Type.Go))
			}
		})
		f.Line()
		f.Func().Id("_").Params(jen.Id("v").Add(expr(t.Go))).Id(c.shape).Block(
			jen.Return(jen.Id(c.shape).ValuesFunc(func(g *jen.Group) {
				for _, field := range t.Fields {
					g.Add(selector(jen.Id("v"), field.Path))
				}
			})))
		return
	}
	f.Line()
	f.Type().Id(c.shape).Op("=").StructFunc(func(g *jen.Group) {
		for _, field := range t.Shape {
			s := jen.Null()
			if !field.Embedded {
				s.Id(field.Name)
			}
			s.Add(expr(field.Type))
			if field.Tag != "" {
				s.Add(tagLiteral(field.Tag))
			}
			g.Add(s)
		}
	})
	f.Line()
	f.Var().Id("_").Id(c.shape).Op("=").Add(expr(t.Go)).Values()
}

func tagLiteral(tag string) *jen.Statement {
	if strconv.CanBackquote(tag) {
		return jen.Id("`" + tag + "`")
	}
	return jen.Id(strconv.Quote(tag))
}

// handlerCheck emits an assignment that stops compiling when the handler's signature is no longer the one that this
// code was generated from. A method is named through its type, so that nothing runs.
//
//	type sendInvoiceChangedRunGoGenerate func(*billing.Service, context.Context, jobs.SendInvoice) (jobs.Receipt, error)
//
//	var _ sendInvoiceChangedRunGoGenerate = (*billing.Service).SendInvoice
func (r *renderer) handlerCheck(f *jen.File, j *model.Job) {
	check := r.unexported(lower(j.Stub) + "ChangedRunGoGenerate")
	f.Line()
	f.Type().Id(check).Func().ParamsFunc(func(g *jen.Group) {
		if j.Receiver != nil {
			g.Add(receiver(j))
		}
		g.Qual("context", "Context")
		if j.Args != nil {
			g.Add(expr(j.Args.Go))
		}
	}).Add(results(j))
	f.Line()
	value := name(j.Func)
	if j.Receiver != nil {
		value = jen.Add(name(j.Receiver.Type)).Dot(j.Func.Name)
		if j.Receiver.Pointer {
			value = jen.Parens(receiver(j)).Dot(j.Func.Name)
		}
	}
	f.Var().Id("_").Id(check).Op("=").Add(value)
}

// receiver emits the receiver's type as the method declares it.
func receiver(j *model.Job) *jen.Statement {
	if j.Receiver.Pointer {
		return jen.Op("*").Add(name(j.Receiver.Type))
	}
	return name(j.Receiver.Type)
}

// results emits a handler's results.
func results(j *model.Job) *jen.Statement {
	if j.Result == nil {
		return jen.Error()
	}
	return jen.Params(expr(j.Result.Go), jen.Error())
}

// selector emits v.A.B.
func selector(v *jen.Statement, path []string) *jen.Statement {
	for _, step := range path {
		v = v.Dot(step)
	}
	return v
}
