package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jobgen/jobgen/example/jobs/billing"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// maxAsked bounds how many mails of earlier starts are looked up in the database.
const maxAsked = 500

// mailedBefore counts the lines that earlier starts have mailed. It is an error when the database doesn't know their
// jobs: it is another one, or its history was cleared, and everything would be mailed a second time. A crash can't
// bring that about, because a job is stored before its mail is written.
func mailedBefore(ctx context.Context, entries []entry, outbox *billing.Outbox, client *jobrt.Client) (int, error) {
	contents, err := outbox.List()
	if err != nil {
		return 0, err
	}
	there := make(map[mailKey]bool)
	for _, name := range contents.Mails {
		there[keyOf(name)] = true
	}
	var mailed []entry
	for _, e := range entries {
		if e.refused == nil && there[e.key()] {
			mailed = append(mailed, e)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for i := 0; i < len(mailed); i += len(mailed)/maxAsked + 1 {
		_, err := client.Job(ctx, mailed[i].id)
		switch {
		case errors.Is(err, jobrt.ErrNotFound):
			return 0, fmt.Errorf("the outbox holds a mail of %v, but this database has no such job and would send it again; "+
				"mails and jobs belong together: choose another -out or -db, or remove the outbox", mailed[i])
		case err != nil:
			return 0, err
		}
	}
	return len(mailed), nil
}
