package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// options are what the command line says.
type options struct {
	in      string
	n       int
	db      string
	out     string
	smtp    string
	flaky   float64
	seed    uint64
	workers int
	kill    string
	killAt  int
	verbose bool
	role    jobrt.Role

	preflight bool
}

const usage = `Usage: go run ./example [flags]

Reads invoices from a CSV file and closes their month: one job makes a durable job of each, they are rendered as PDF and
mailed, into a folder of .eml files or by SMTP, the receipts are filed in the folder's archive, and a last job reports
what was sent and what failed and why. In the end the program counts from the files that every line has become a mail or
a refusal with a reason.

Start it again whenever you like. Jobs stay in the database (./billing.db): a run that was interrupted or killed goes
on where it was, and a line that has been mailed is not mailed again. A mail that was on its way when the process was
killed may go out twice; the last lines of the output say which. Who corrects a line of the CSV and starts again gets
this one invoice sent. To begin anew, remove billing.db* and the outbox.

Flags:
`

// errUsage says that the command line is wrong and that the user has been told.
var errUsage = errors.New("usage")

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("example", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, usage)
		f.PrintDefaults()
	}
	f.StringVar(&o.in, "in", "", "CSV `file` with the invoices (default: one that is built in)")
	f.IntVar(&o.n, "n", 0, "repeat the input, under other invoice numbers, until it has `count` lines;\n50000 take some minutes and 1 GB in the outbox")
	f.StringVar(&o.db, "db", "sqlite:billing.db", "`address` of the database that keeps the jobs, or postgres://user:password@host/database")
	f.StringVar(&o.out, "out", "outbox", "`folder` for the mails and for refused.csv")
	f.StringVar(&o.smtp, "smtp", "", "send to the mail server at `host:port`; the outbox gets the copies")
	f.Float64Var(&o.flaky, "smtp-flaky", 0, "`share` of the deliveries, 0 to 1, that fail for the time being; they are tried again")
	f.Uint64Var(&o.seed, "seed", 1, "`number` that decides which deliveries -smtp-flaky hits")
	f.IntVar(&o.workers, "workers", 5, "`number` of invoices in the making at once")
	f.StringVar(&o.kill, "kill", "", "kill this very process with SIGKILL at a `point`, to see what a second start makes of it:\n"+strings.Join(killPoints, ", "))
	f.IntVar(&o.killAt, "kill-at", 25, "the `number` of the invoice that -kill strikes at, counted as they pass the point")
	f.Var(&o.role, "role", "`part` that this process plays: all, web, which brings the month's job and goes, or worker,\nwhich runs the jobs that others bring, until there are none")
	f.BoolVar(&o.preflight, "preflight", false, "send nothing: read all jobs that wait in the database as this build would, and tell\nwhich of them it can't run; exit code 1 when there are any")
	f.BoolVar(&o.verbose, "v", false, "log every failed attempt, with the id of its job")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, errUsage
	}
	if err := o.check(f.Args()); err != nil {
		fmt.Fprintf(stderr, "example: %v\nRun with -h for the flags.\n", err)
		return o, errUsage
	}
	return o, nil
}

func (o options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q; the input file goes behind -in", rest[0])
	case o.n < 0:
		return fmt.Errorf("-n %d is negative", o.n)
	case o.flaky < 0 || o.flaky > 1 || o.flaky != o.flaky:
		return fmt.Errorf("-smtp-flaky %v is not within 0 and 1", o.flaky)
	case o.workers < 1:
		return fmt.Errorf("-workers %d: at least one is needed", o.workers)
	case o.kill != "" && !slices.Contains(killPoints, o.kill):
		return fmt.Errorf("-kill %q is no point; there are %s", o.kill, strings.Join(killPoints, ", "))
	case o.killAt < 1:
		return fmt.Errorf("-kill-at %d is not positive", o.killAt)
	}
	return nil
}
