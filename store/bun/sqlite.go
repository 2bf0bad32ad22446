package bunstore

import (
	"context"
	"errors"
)

var errNoSQLite = errors.New("this build has no SQLite")

func openSQLite(context.Context, *Store, string) error { return errNoSQLite }

func newSQLite(context.Context, *Store) error { return errNoSQLite }
