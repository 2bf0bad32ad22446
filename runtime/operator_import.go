package jobrt

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	// importLine is the longest line that is read.
	importLine = 64 << 20
	// importJobs and importBytes bound what one transaction stores.
	importJobs  = 100
	importBytes = 4 << 20
	// importRefusals is how many refusals are named.
	importRefusals = 100
)

// Import says how jobs are imported.
type Import struct {
	// Foreign also takes jobs of kinds that the catalogue does not know, or that are another service's than the job says.
	Foreign bool
}

// ImportReport is what an import has done.
type ImportReport struct {
	// Stored counts the jobs that are stored now, Known those whose ids were known and which were left as they are.
	Stored, Known int
	// Refused counts the jobs that were not imported. Refusals says why, of the first 100.
	Refused  int
	Refusals []ImportRefusal
}

// ImportRefusal is why one job was not imported.
type ImportRefusal struct {
	Line int
	ID   ID
	Why  string
}

func (r *ImportReport) refuse(line int, id ID, why string) {
	r.Refused++
	if len(r.Refusals) < importRefusals {
		r.Refusals = append(r.Refusals, ImportRefusal{line, id, why})
	}
}

// importedJob is a job and its line.
type importedJob struct {
	line int
	job  JobInfo
}

// Import stores the ready, scheduled and dead jobs of what [Operator.Export] has written, and refuses the others one by
// one: see [KeepStore]. The same export may be imported again, and one that broke off joined with its continuation. It keeps
// some jobs in memory, not all. On an error, what it returns was done.
func (o *Operator) Import(ctx context.Context, r io.Reader, how Import) (ImportReport, error) {
	var report ImportReport
	kinds, err := o.kindsByName(ctx)
	if err != nil {
		return report, err
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), importLine)
	var batch []importedJob
	size, begun := 0, false
	flush := func() error {
		err := o.importBatch(ctx, batch, &report)
		batch, size = batch[:0], 0
		return err
	}
	n := 0
	for lines.Scan() {
		n++
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 {
			continue
		}
		isHead, err := readHead(text)
		if err != nil {
			return report, errors.Join(flush(), fmt.Errorf("import: line %d: %w", n, err))
		}
		if isHead {
			begun = true
			continue
		}
		if !begun {
			return report, fmt.Errorf("import: line %d: an export begins with a line that names its format", n)
		}
		var line exportedJob
		if err := json.Unmarshal(text, &line); err != nil {
			return report, errors.Join(flush(), fmt.Errorf("import: line %d is no job, or was cut off: %w", n, err))
		}
		job := line.JobInfo
		job.Args, job.UniqueKey = line.Args, line.Key
		if why := refusal(line, job, kinds, how); why != "" {
			report.refuse(n, job.ID, why)
			continue
		}
		batch = append(batch, importedJob{n, job})
		if size += len(text); len(batch) == importJobs || size >= importBytes {
			if err := flush(); err != nil {
				return report, err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return report, errors.Join(flush(), fmt.Errorf("import: line %d: %w", n+1, err))
	}
	if !begun {
		return report, errors.New("import: the export is empty")
	}
	return report, flush()
}

// readHead reports whether a line is the head of an export.
func readHead(text []byte) (bool, error) {
	var head exportHead
	if err := json.Unmarshal(text, &head); err != nil || head.Format == "" {
		return false, nil
	}
	if head.Format != exportFormat || head.Version < 1 || head.Version > exportVersion {
		return false, fmt.Errorf("format %q, version %d is unknown; this build reads %q up to %d", head.Format, head.Version, exportFormat, exportVersion)
	}
	return true, nil
}

// refusal is why a job is not imported; empty when it is.
func refusal(line exportedJob, job JobInfo, kinds map[string]KindInfo, how Import) string {
	if line.Redacted {
		return "its secrets were left out of the export"
	}
	if err := CheckImport(job); err != nil {
		return err.Error()
	}
	k, known := kinds[job.Kind]
	switch {
	case how.Foreign:
	case !known:
		return fmt.Sprintf("no service of this database has declared its kind %q", job.Kind)
	case k.Service != job.Service:
		return fmt.Sprintf("it is of service %q, but its kind is %q's here", job.Service, k.Service)
	}
	return ""
}

// importBatch stores some jobs. When they cannot be stored together, it finds out which by storing each by itself.
func (o *Operator) importBatch(ctx context.Context, batch []importedJob, report *ImportReport) error {
	if len(batch) == 0 {
		return nil
	}
	jobs := make([]JobInfo, 0, len(batch))
	seen := make(map[ID]bool, len(batch))
	lines := make([]int, 0, len(batch))
	for _, b := range batch {
		if seen[b.job.ID] {
			report.Known++
			continue
		}
		seen[b.job.ID] = true
		jobs, lines = append(jobs, b.job), append(lines, b.line)
	}
	results, err := o.store.ImportJobs(ctx, o.actor, jobs)
	switch {
	case err == nil:
		o.reportImport(ctx, jobs, lines, results, report)
		return nil
	case ctx.Err() != nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUncertain):
		return err
	}
	for i := range jobs {
		one, err := o.store.ImportJobs(ctx, o.actor, jobs[i:i+1])
		switch {
		case err == nil:
			o.reportImport(ctx, jobs[i:i+1], lines[i:i+1], one, report)
		case ctx.Err() != nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUncertain):
			return err
		default:
			report.refuse(lines[i], jobs[i].ID, err.Error())
		}
	}
	return nil
}

// reportImport counts what was stored and wakes the workers that can do something about it.
func (o *Operator) reportImport(ctx context.Context, jobs []JobInfo, lines []int, results []Imported, report *ImportReport) {
	var told []Operated
	for i, r := range results {
		switch {
		case r.Stored:
			report.Stored++
			if jobs[i].State == StateReady {
				told = append(told, Operated{Changed: true, State: StateReady, Queue: jobs[i].Queue})
			}
		case !r.Holder.IsZero():
			report.refuse(lines[i], jobs[i].ID, fmt.Sprintf("job %s has its unique key", r.Holder))
		default:
			report.Known++
		}
	}
	tellOf(ctx, o.store, told)
}
