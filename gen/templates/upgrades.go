package templates

import (
	"slices"
	"strconv"

	"github.com/dave/jennifer/jen"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// upgradeCodecs emits what the registry reads earlier versions of the arguments with. The functions that turn them into
// today's may stand beside the handlers, which this package does not import.
//
//	var SendInvoiceV1Codec = jobsSendInvoiceV1Codec
func (r *renderer) upgradeCodecs(f *jen.File, j *model.Job) {
	for _, u := range j.Upgrades {
		f.Line()
		comment(f.Group, j.UpgradeCodec(u)+" reads version "+strconv.Itoa(u.Version)+" of the arguments of "+j.GoName()+", for the registry.")
		f.Var().Id(j.UpgradeCodec(u)).Op("=").Id(r.codecs[u.Type].variable)
	}
}

func (r *renderer) nameUpgraded() {
	r.upgradedName = make(map[*model.Job]string)
	for _, j := range r.m.Jobs {
		if len(j.Upgrades) > 0 {
			r.upgradedName[j] = r.unexported(lower(j.Descriptor()))
		}
	}
}

// upgraded emits the descriptor that reads earlier versions of the arguments:
//
//	func sendInvoiceJob() *jobrt.Job[jobs.SendInvoice, jobs.Receipt] {
//		job := *gen.SendInvoiceJob
//		job.Upgrades = []jobrt.Upgrade[jobs.SendInvoice]{
//			jobrt.UpgradeFrom(1, gen.SendInvoiceV1Codec, func(v1 jobs.SendInvoiceV1) (jobs.SendInvoice, error) {
//				return billing.UpgradeSendInvoice(v1), nil
//			}),
//		}
//		return &job
//	}
func (r *renderer) upgraded(f *jen.File, j *model.Job) {
	fn := r.upgradedName[j]
	if fn == "" {
		return
	}
	f.Line()
	comment(f.Group, fn+" is "+r.m.OutName+"."+j.Descriptor()+" that reads the arguments of earlier versions too.")
	f.Func().Id(fn).Params().Op("*").Qual(pathJobrt, "Job").Types(typeOrNone(j.Args), typeOrNone(j.Result)).BlockFunc(func(g *jen.Group) {
		g.Id("job").Op(":=").Op("*").Qual(r.m.OutPath, j.Descriptor())
		if paths := secretsOfAll(j); len(paths) > len(secrets(j.Args)) {
			g.Id("job").Dot("Args").Dot("Secrets").Op("=").Add(stringList(paths)).Comment("of all versions: operators see rows of each")
		}
		g.Id("job").Dot("Upgrades").Op("=").Index().Qual(pathJobrt, "Upgrade").Types(expr(j.Args.Go)).
			CustomFunc(jen.Options{Open: "{", Close: "}", Separator: ",", Multi: true}, func(g *jen.Group) {
				for i := range j.Upgrades {
					g.Qual(pathJobrt, "UpgradeFrom").Call(
						jen.Lit(j.Upgrades[i].Version), jen.Qual(r.m.OutPath, j.UpgradeCodec(j.Upgrades[i])), r.upgradeChain(j, j.Upgrades[i:]))
				}
			})
		g.Return(jen.Op("&").Id("job"))
	})
}

// secretsOfAll lists the secret paths of all versions of a job's arguments, sorted.
func secretsOfAll(j *model.Job) []string {
	paths := secrets(j.Args)
	for _, u := range j.Upgrades {
		paths = append(paths, secrets(u.Type)...)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// upgradeChain emits a function from the first of the upgrades' type to today's.
func (r *renderer) upgradeChain(j *model.Job, from []*model.Upgrade) *jen.Statement {
	if from[0].To == j.Settings.Version && from[0].Fails {
		return name(from[0].Func)
	}
	local := func(version int) string { return "v" + strconv.Itoa(version) }
	return jen.Func().Params(jen.Id(local(from[0].Version)).Add(expr(from[0].Type.Go))).Params(expr(j.Args.Go), jen.Error()).BlockFunc(func(g *jen.Group) {
		for _, u := range from {
			call := name(u.Func).Call(jen.Id(local(u.Version)))
			switch {
			case u.To == j.Settings.Version && u.Fails:
				g.Return(call)
				return
			case u.To == j.Settings.Version:
				g.Return(call, jen.Nil())
				return
			case u.Fails:
				g.List(jen.Id(local(u.To)), jen.Err()).Op(":=").Add(call)
				g.If(jen.Err().Op("!=").Nil()).Block(jen.Return(expr(j.Args.Go).Values(), jen.Err()))
			default:
				g.Id(local(u.To)).Op(":=").Add(call)
			}
		}
	})
}
