package bunstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

const (
	// longLog is the size of the write-ahead log, in bytes, that is worth a warning.
	longLog = 256 << 20
	// littleSpace is how many bytes the file system must have left.
	littleSpace = 256 << 20
)

// diagnose implements dialect. Connections have passed check: journal mode, synchronous and busy_timeout are right.
func (d *sqliteDialect) diagnose() []diagnosis {
	return []diagnosis{
		{"settings", d.doctorFile}, {"bloat", d.doctorBloat}, {"isolation", d.doctorIsolation}, {"duties", d.doctorDuties},
	}
}

func (d *sqliteDialect) file(ctx context.Context) (path string, err error) {
	_, err = first(ctx, d.own(), []any{&path}, `SELECT file FROM pragma_database_list WHERE name = 'main'`)
	return path, err
}

// doctorFile looks at where the file is.
func (d *sqliteDialect) doctorFile(ctx context.Context, r *report) error {
	path, err := d.file(ctx)
	if err != nil {
		return err
	}
	v, err := volumeOf(filepath.Dir(path))
	if err != nil {
		return err
	}
	if v.network != "" {
		r.add(jobrt.SeverityError, "", fmt.Sprintf("the file is on a network file system (%s)", v.network),
			"SQLite's locks and shared memory don't hold there: processes on several machines destroy the file", "put it on a local disk, or use PostgreSQL")
	}
	if v.known && v.free < littleSpace {
		r.add(jobrt.SeverityError, "", fmt.Sprintf("%s are left on the file system", sizeText(v.free)), "when it is full, nothing can be enqueued and no end be recorded", "make room")
	}
	return nil
}

// doctorBloat looks at the sizes of the file and of its write-ahead log.
func (d *sqliteDialect) doctorBloat(ctx context.Context, r *report) error {
	path, err := d.file(ctx)
	if err != nil {
		return err
	}
	log, err := os.Stat(path + "-wal")
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case log.Size() > longLog:
		r.add(jobrt.SeverityWarning, "", "the write-ahead log has "+sizeText(log.Size()), "reads go through it, and it takes the disk's space",
			"end what reads without an end: a forgotten transaction, a shell; upkeep cuts it then")
	}
	var pages, free, size int64
	if _, err := first(ctx, d.own(), []any{&pages, &free, &size}, `
		SELECT (SELECT page_count FROM pragma_page_count), (SELECT freelist_count FROM pragma_freelist_count), (SELECT page_size FROM pragma_page_size)`); err != nil {
		return err
	}
	if free*size > longLog && free > pages/2 {
		r.add(jobrt.SeverityNote, "", fmt.Sprintf("%s of the file's %s are free", sizeText(free*size), sizeText(pages*size)),
			"they are used again, but not given back to the file system", "with all processes stopped: VACUUM")
	}
	return nil
}

// doctorIsolation looks at what else lives in this file.
func (d *sqliteDialect) doctorIsolation(ctx context.Context, r *report) error {
	var tables int64
	_, err := first(ctx, d.own(), []any{&tables}, `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name NOT LIKE ?1 ESCAPE '\' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`,
		strings.ReplaceAll(d.names.prefix, "_", `\_`)+"%")
	if err != nil || tables == 0 {
		return err
	}
	r.add(jobrt.SeverityNote, "", fmt.Sprintf("the jobs share their file with tables of others: %d", tables),
		"an enqueue can be part of the application's transactions; in return one writer at a time serves both", "when that hurts: a file of the jobs' own, or PostgreSQL")
	return nil
}

// doctorDuties looks for upkeep that nobody does though workers live.
func (d *sqliteDialect) doctorDuties(ctx context.Context, r *report) error {
	now := time.Now()
	return collect(ctx, d.own(), func(rows rows) error {
		var name string
		var at int64
		if err := rows.Scan(&name, &at); err != nil {
			return err
		}
		r.sayStuck(name, now.Sub(time.UnixMicro(at)))
		return nil
	}, d.names.sql(`SELECT name, next_at FROM {duties} WHERE next_at < ?1 - ?2 AND name NOT LIKE '% %'
		AND EXISTS (SELECT 1 FROM {workers} WHERE lease_until > ?1 AND started_at < ?1 - ?2) ORDER BY name`), now.UnixMicro(), micros(lateDuty))
}
