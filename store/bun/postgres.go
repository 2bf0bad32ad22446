package bunstore

import (
	"context"
	"errors"
)

var errNoPostgres = errors.New("this build has no PostgreSQL")

func openPostgres(context.Context, *Store, string) error { return errNoPostgres }

func newPostgres(context.Context, *Store) error { return errNoPostgres }
