//go:build !jobgen_nosqlite

package bunstore

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// newSQLitePool is an application's own pool.
func newSQLitePool(tb testing.TB, address string) *bun.DB {
	tb.Helper()
	db, err := sql.Open(sqliteDriver, address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return bun.NewDB(db, sqlitedialect.New())
}

func TestNewAcceptsASuitableSQLitePoolAndLeavesItAsItWas(t *testing.T) {
	db := newSQLitePool(t, sqliteAddress(filepath.Join(t.TempDir(), "app.db"), strings.Replace(sqliteSettings, "5000", "4321", 1)))
	db.SetMaxOpenConns(2)
	s, err := New(db, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Insert(testContext(t), nil, sqliteJobs(3)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		conn, err := db.Conn(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var timeout int
		if err := conn.QueryRowContext(testContext(t), "PRAGMA busy_timeout").Scan(&timeout); err != nil || timeout != 4321 {
			t.Errorf("busy_timeout is %d, %v; want the pool's own 4321", timeout, err)
		}
		if _, err := conn.ExecContext(testContext(t), "BEGIN IMMEDIATE"); err != nil {
			t.Errorf("begin: %v: a lock was left behind", err)
		}
		if _, err := conn.ExecContext(testContext(t), "ROLLBACK"); err != nil {
			t.Errorf("rollback: %v", err)
		}
	}
}

func TestNewRefusesAnUnsuitableSQLitePoolWithTheReason(t *testing.T) {
	file := func(settings string) func(*testing.T) *bun.DB {
		return func(t *testing.T) *bun.DB {
			return newSQLitePool(t, sqliteAddress(filepath.Join(t.TempDir(), "app.db"), settings))
		}
	}
	for name, c := range map[string]struct {
		open func(*testing.T) *bun.DB
		want []string
	}{
		"one connection": {
			open: func(t *testing.T) *bun.DB {
				db := file(sqliteSettings)(t)
				db.SetMaxOpenConns(1)
				return db
			},
			want: []string{"single connection", "SetMaxOpenConns"},
		},
		"memory": {
			open: func(t *testing.T) *bun.DB { return newSQLitePool(t, ":memory:") },
			want: []string{"no file", "jobtest.Memory"},
		},
		"shared memory": {
			open: func(t *testing.T) *bun.DB { return newSQLitePool(t, "file:x?mode=memory&cache=shared&"+sqliteSettings) },
			want: []string{"no file"},
		},
		"rollback journal": {
			open: file("_pragma=busy_timeout(5000)&_txlock=immediate"),
			want: []string{"journal mode is delete", "journal_mode(wal)"},
		},
		"no busy_timeout": {
			open: file("_pragma=journal_mode(wal)&_txlock=immediate"),
			want: []string{"busy_timeout is 0", "busy_timeout(5000)"},
		},
		"deferred transactions": {
			open: file("_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)"),
			want: []string{"begin deferred", "_txlock=immediate"},
		},
		"synchronous normal": {
			open: file(sqliteSettings + "&_pragma=synchronous(normal)"),
			want: []string{"synchronous is normal", "synchronous(full)"},
		},
		"synchronous off": {
			open: file(sqliteSettings + "&_pragma=synchronous(off)"),
			want: []string{"synchronous is off"},
		},
		"a pragma on one connection": {
			open: func(t *testing.T) *bun.DB {
				db := file("_pragma=journal_mode(wal)&_txlock=immediate")(t)
				if _, err := db.Exec("PRAGMA busy_timeout = 5000"); err != nil {
					t.Fatal(err)
				}
				return db
			},
			want: []string{"only some connections", "busy_timeout is 0"},
		},
		"everything": {
			open: file(""),
			want: []string{"journal mode is delete", "busy_timeout is 0", "begin deferred"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New(c.open(t), Config{})
			var unsuitable *UnsuitableError
			if !errors.As(err, &unsuitable) {
				if err == nil {
					_ = s.Close()
				}
				t.Fatalf("got %v, want an UnsuitableError", err)
			}
			for _, want := range append(c.want, "?"+sqliteSettings) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q: %v", want, err)
				}
			}
		})
	}
}

func TestTheTestForImmediateTransactionsIsNotFooledByAnotherWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	other := newSQLitePool(t, sqliteAddress(path, sqliteSettings))
	for settings, suitable := range map[string]bool{
		sqliteSettings: true, "_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)": false,
	} {
		tx, err := other.BeginTx(testContext(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		db := newSQLitePool(t, sqliteAddress(path, settings))
		done := make(chan error, 1)
		go func() {
			d := &sqliteDialect{db: db.DB}
			done <- d.check(testContext(t))
		}()
		select {
		case err := <-done:
			t.Errorf("check ended while another connection was writing: %v", err)
		case <-time.After(100 * time.Millisecond): // it cannot know before the other one has ended
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; (err == nil) != suitable {
			t.Errorf("check of %s: %v, want suitable=%v", settings, err, suitable)
		}
	}
}

func TestOpenTakesTheFileThatTheAddressNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"jobs.db", "über uns 50%20#1&x=y;.db"} {
		s, err := Open(testContext(t), "sqlite:"+filepath.Join(dir, name))
		if err != nil {
			t.Errorf("open %q: %v", name, err)
			continue
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"sqlite:":                                       "needs a file",
		"sqlite::memory:":                               "jobtest.Memory",
		"sqlite:" + dir + "/jobs.db?_pragma=x":          "only a file name",
		"sqlite:" + dir + "/folder":                     "is a directory",
		"sqlite:" + filepath.Join(dir, "no", "x.db"):    "directory of the file",
		"sqlite://" + filepath.Join(dir, "no2", "x.db"): "directory of the file",
	} {
		s, err := Open(testContext(t), address)
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("open %s: got %v, want an error that says %q", address, err, want)
		}
	}
}

func TestASQLiteStoreSaysWhatItCannotDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	if s, err := Open(testContext(t), "sqlite:"+path, Config{Schema: "billing"}); err == nil || !strings.Contains(err.Error(), "no schemas") {
		t.Errorf("open with a schema: %v, %v", s, err)
	}
	s, err := New(newSQLitePool(t, sqliteAddress(path, sqliteSettings)), Config{Migrate: Check, Prefix: "x_"})
	var schema *SchemaError
	if !errors.As(err, &schema) || schema.Command != "jobctl --db sqlite:"+path+" --prefix x_ migrate up" {
		t.Errorf("new without tables: %v, %v", s, err)
	}
	s = openSQLiteFile(t, path, Config{NoListen: true})
	session, _ := newSQLiteWorker(t, s)
	if err := session.Listen(testContext(t), func(string) {}, func() {}); !errors.Is(err, jobrt.ErrNoListen) {
		t.Errorf("listen: %v, want ErrNoListen", err)
	}
}

func TestOpenRefusesAFileThatIsNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.txt")
	text := strings.Repeat("these are notes, and they must stay. ", 100)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(context.Background(), "sqlite:"+path)
	if err == nil {
		_ = s.Close()
		t.Fatal("opened")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("the file has changed: %v", err)
	}
}
