package bunstore

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

//go:embed migrations
var migrationFiles embed.FS

// Migration is one version of the tables.
type Migration struct {
	Version int
	Name    string
	// Applied is when this database came to this version; zero when it has not.
	Applied time.Time
}

// MigrationStep is one migration to run, in one direction, with its statements.
type MigrationStep struct {
	Migration
	Down bool
	SQL  string
}

// SchemaError says that the tables are not at the version that this build works with.
type SchemaError struct {
	// Have is the version up to which the database has all migrations, 0 for none, or its newest one when this build does
	// not know that; Want is this build's.
	Have, Want int
	// Command updates the tables; empty when the tables are newer than this build.
	Command string
}

func (e *SchemaError) Error() string {
	if e.Have > e.Want {
		return fmt.Sprintf("tables are at version %d, newer than this build knows (%d); deploy a newer build", e.Have, e.Want)
	}
	return fmt.Sprintf("tables are at version %d, this build needs %d; run: %s", e.Have, e.Want, e.Command)
}

// Migrations returns all migrations that this build knows, in order, with the times at which they were applied.
func (s *Store) Migrations(ctx context.Context) ([]Migration, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	known, err := s.known()
	if err != nil {
		return nil, s.failed("migrations", err)
	}
	applied, err := s.applied(ctx, s.d.own())
	if err != nil {
		return nil, s.failed("migrations", err)
	}
	all := make([]Migration, len(known))
	for i, m := range known {
		all[i] = Migration{Version: m.version, Name: m.name, Applied: applied[m.version]}
	}
	return all, nil
}

// MigrationPlan returns the steps from the database's version to version to; a negative to is the newest. It changes
// nothing.
func (s *Store) MigrationPlan(ctx context.Context, to int) ([]MigrationStep, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	steps, err := s.plan(ctx, s.d.own(), to)
	return steps, s.failed("migration plan", err)
}

// MigrateUp brings the tables to this build's version and returns what it did. Any number of processes may call it at
// once: one migrates, the others wait and do nothing.
func (s *Store) MigrateUp(ctx context.Context) ([]MigrationStep, error) {
	steps, err := s.migrate(ctx, -1, false)
	return steps, s.failed("migrate up", err)
}

// MigrateDown takes the tables back to version to; 0 removes them with all jobs.
func (s *Store) MigrateDown(ctx context.Context, to int) ([]MigrationStep, error) {
	if to < 0 {
		return nil, s.failed("migrate down", fmt.Errorf("version %d is negative", to))
	}
	steps, err := s.migrate(ctx, to, true)
	return steps, s.failed("migrate down", err)
}

// prepare does what Config.Migrate says.
func (s *Store) prepare(ctx context.Context) error {
	if s.cfg.Migrate == Off {
		return nil
	}
	known, err := s.known()
	if err != nil {
		return err
	}
	want := known[len(known)-1].version
	look, cancel := s.bounded(ctx)
	defer cancel()
	applied, err := s.applied(look, s.d.own())
	if err != nil {
		return err
	}
	switch have := complete(known, applied); {
	case newest(applied) > want:
		return &SchemaError{Have: newest(applied), Want: want}
	case have == want:
		return nil
	case s.cfg.Migrate == Check:
		return &SchemaError{Have: have, Want: want, Command: s.migrateCommand()}
	}
	_, err = s.migrate(ctx, -1, false)
	return err
}

// migrateCommand is the command line that updates the tables.
func (s *Store) migrateCommand() string {
	words := []string{"jobctl"}
	for _, flag := range [][2]string{
		{"--db", cmp.Or(s.address, "ADDRESS")}, {"--schema", s.cfg.Schema}, {"--prefix", s.cfg.Prefix},
	} {
		if flag[1] != "" && flag != [2]string{"--prefix", "jobgen_"} {
			words = append(words, flag[0], quote(flag[1]))
		}
	}
	return strings.Join(append(words, "migrate", "up"), " ")
}

// quote makes one word of a shell's line.
func quote(word string) string {
	if strings.ContainsAny(word, " \t'\"\\$&|;<>()*?[]#~`!{}") {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}

// migrateTimeout bounds a migration, with the waits for other processes that migrate and for transactions that use the
// tables, when the caller's context has no deadline. Making a large table anew takes longer than any other call.
const migrateTimeout = 15 * time.Minute

// migrate runs the plan to version to in one transaction. down says that to may be below the present version.
func (s *Store) migrate(ctx context.Context, to int, down bool) (steps []MigrationStep, err error) {
	ctx, cancel := bounded(ctx, max(migrateTimeout, s.cfg.Timeout))
	defer cancel()
	err = s.d.exclusively(ctx, func(q querier) error {
		_, err := q.exec(ctx, s.names.sql(`CREATE TABLE IF NOT EXISTS {migrations} (
			version integer PRIMARY KEY,
			name text NOT NULL,
			store text NOT NULL,
			applied_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
		)`))
		if err != nil {
			return err
		}
		if steps, err = s.plan(ctx, q, to); err != nil {
			return err
		}
		for _, step := range steps {
			if step.Down != down {
				return fmt.Errorf("tables are at another version than expected: %d %s stands in the way", step.Version, step.Name)
			}
			if err := s.step(ctx, q, step); err != nil {
				return fmt.Errorf("migration %d %s: %w", step.Version, step.Name, err)
			}
		}
		if down && to == 0 {
			_, err = q.exec(ctx, s.names.sql(`DROP TABLE {migrations}`))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if d, ok := s.d.(interface{ tablesMade(context.Context) error }); ok && !down && len(steps) > 0 {
		return steps, d.tablesMade(ctx)
	}
	return steps, nil
}

// step runs one migration and notes it.
func (s *Store) step(ctx context.Context, q querier, step MigrationStep) error {
	if _, err := q.exec(ctx, step.SQL); err != nil {
		return err
	}
	note := fmt.Sprintf(`INSERT INTO {migrations} (version, name, store) VALUES (%d, '%s', '%s')`,
		step.Version, step.Name, jobrt.NewID())
	if step.Down {
		note = fmt.Sprintf(`DELETE FROM {migrations} WHERE version = %d`, step.Version)
	}
	_, err := q.exec(ctx, s.names.sql(note))
	return err
}

// plan returns the steps to version to, the newest one when it is negative.
//
// A version below the newest one that the database has may be missing there: it came to this build later. It is applied
// on the way up.
func (s *Store) plan(ctx context.Context, q querier, to int) ([]MigrationStep, error) {
	known, err := s.known()
	if err != nil {
		return nil, err
	}
	want := known[len(known)-1].version
	if to < 0 {
		to = want
	}
	if to > want {
		return nil, fmt.Errorf("version %d is unknown to this build; its newest is %d", to, want)
	}
	applied, err := s.applied(ctx, q)
	if err != nil {
		return nil, err
	}
	have := newest(applied)
	if have > want {
		return nil, &SchemaError{Have: have, Want: want}
	}
	var steps []MigrationStep
	if to < have {
		for _, m := range slices.Backward(known) {
			if at, there := applied[m.version]; there && m.version > to {
				steps = append(steps, MigrationStep{
					Migration: Migration{Version: m.version, Name: m.name, Applied: at}, Down: true, SQL: s.names.sql(m.down),
				})
			}
		}
		return steps, nil
	}
	for _, m := range known {
		if _, there := applied[m.version]; !there && m.version <= to {
			steps = append(steps, MigrationStep{Migration: Migration{Version: m.version, Name: m.name}, SQL: s.names.sql(m.up)})
		}
	}
	return steps, nil
}

// applied returns when each version was applied, nothing for a database without tables.
func (s *Store) applied(ctx context.Context, q querier) (map[int]time.Time, error) {
	applied := make(map[int]time.Time)
	there, err := s.d.exists(ctx, q, "migrations")
	if err != nil || !there {
		return applied, err
	}
	err = collect(ctx, q, func(r rows) error {
		var version int
		var at instant
		if err := r.Scan(&version, &at); err != nil {
			return err
		}
		applied[version] = at.Time
		return nil
	}, s.names.sql(`SELECT version, applied_at FROM {migrations}`))
	return applied, err
}

func newest(applied map[int]time.Time) int {
	version := 0
	for v := range applied {
		version = max(version, v)
	}
	return version
}

// complete is the version up to which all known migrations are applied.
func complete(known []migration, applied map[int]time.Time) int {
	version := 0
	for _, m := range known {
		if _, there := applied[m.version]; !there {
			return version
		}
		version = m.version
	}
	return version
}

// migration is a pair of files, 0001_name.up.sql and 0001_name.down.sql.
type migration struct {
	version  int
	name     string
	up, down string
}

// known reads the migrations of this build, in order of their versions. Numbers may be left out.
func (s *Store) known() ([]migration, error) {
	dir := path.Join("migrations", s.d.folder())
	entries, err := migrationFiles.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []migration
	for _, e := range entries {
		base, isUp := strings.CutSuffix(e.Name(), ".up.sql")
		if !isUp {
			continue
		}
		number, name, _ := strings.Cut(base, "_")
		version, err := strconv.Atoi(number)
		if err != nil || len(all) > 0 && version <= all[len(all)-1].version {
			return nil, fmt.Errorf("migration file %s: want a version of its own in four digits", e.Name())
		}
		up, err := migrationFiles.ReadFile(path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		down, err := migrationFiles.ReadFile(path.Join(dir, base+".down.sql"))
		if err != nil {
			return nil, err
		}
		all = append(all, migration{version: version, name: name, up: string(up), down: string(down)})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no migrations in %s", dir)
	}
	return all, nil
}
