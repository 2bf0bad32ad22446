package templates

import (
	"strconv"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// staleSuffix ends the names that the compiler mentions when generated code is older than what it was made from.
const staleSuffix = "ChangedRunGoGenerate"

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
// A struct that another package can't write down, because it has unexported fields, is checked field by field; what a
// tag says is then left to jobgen check.
//
//	type jobsHiddenIDChangedRunGoGenerate = int64
//
//	func _(v *jobs.Hidden) { var _ *jobsHiddenIDChangedRunGoGenerate = &v.ID }
func (r *renderer) shapeCheck(f *jen.File, c *codec) {
	t := c.typ
	switch {
	case t.Kind != model.Struct || c.anonymous:
		return
	case t.Shape == nil && len(t.Fields) > 0:
		r.fieldChecks(f, c)
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

func (r *renderer) fieldChecks(f *jen.File, c *codec) {
	aliases := make([]string, len(c.typ.Fields))
	for i, field := range c.typ.Fields {
		aliases[i] = r.unexported(strings.TrimSuffix(c.shape, staleSuffix) + upper(strings.Join(field.Path, "")) + staleSuffix)
		f.Line()
		f.Type().Id(aliases[i]).Op("=").Add(expr(field.Type.Go))
	}
	f.Line()
	f.Func().Id("_").Params(jen.Id("v").Op("*").Add(expr(c.typ.Go))).BlockFunc(func(g *jen.Group) {
		for i, field := range c.typ.Fields {
			g.Var().Id("_").Op("*").Id(aliases[i]).Op("=").Op("&").Add(selector(jen.Id("v"), field.Path))
		}
	})
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
	check := r.unexported(lower(j.Stub) + staleSuffix)
	f.Line()
	f.Type().Id(check).Func().ParamsFunc(func(g *jen.Group) {
		if j.Receiver != nil {
			g.Add(receiver(j))
		}
		g.Qual("context", "Context")
		switch {
		case j.Args != nil:
			g.Add(expr(j.Args.Go))
		case j.NoneParam:
			g.Add(typeOrNone(nil))
		}
		for _, p := range j.Parents {
			g.Add(parentParam(p))
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
