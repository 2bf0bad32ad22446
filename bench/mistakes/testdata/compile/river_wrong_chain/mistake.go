// Package mistake hands a job the result of the wrong one: what comes after a
// job is inserted by the job itself, with arguments that it fills.
package mistake

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

type Report struct{ Pages int }

type Receipt struct{ MessageID string }

type ArchiveArgs struct{ Sent Receipt }

func (ArchiveArgs) Kind() string { return "archive" }

type ReportArgs struct{}

func (ReportArgs) Kind() string { return "report" }

func Work(ctx context.Context, _ *river.Job[ReportArgs]) error {
	report := Report{Pages: 3}
	_, err := river.ClientFromContext[pgx.Tx](ctx).Insert(ctx, ArchiveArgs{Sent: report}, nil)
	return err
}
