package templates

import (
	"github.com/dave/jennifer/jen"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// nextList emits the continuations of a job by annotation:
//
//	[]jobrt.Next{
//		{Job: ArchiveReceiptJob, On: jobrt.IfSucceeded, Slot: 0, SameArgs: true},
//	}
func nextList(j *model.Job) *jen.Statement {
	return jen.Index().Qual(pathJobrt, "Next").CustomFunc(jen.Options{Open: "{", Close: "}", Separator: ",", Multi: true}, func(g *jen.Group) {
		for _, n := range j.Next {
			on := "IfSucceeded"
			if n.Failure {
				on = "IfFailed"
			}
			slot := jen.Lit(0)
			switch n.Slot {
			case model.SlotNone:
				slot = jen.Qual(pathJobrt, "SlotNone")
			case model.SlotArgs:
				slot = jen.Qual(pathJobrt, "SlotArgs")
			}
			values := []jen.Code{
				jen.Id("Job").Op(":").Id(n.Job.Descriptor()), jen.Id("On").Op(":").Qual(pathJobrt, on), jen.Id("Slot").Op(":").Add(slot),
			}
			if n.SameArgs {
				values = append(values, jen.Id("SameArgs").Op(":").True())
			}
			g.Values(values...)
		}
	})
}
