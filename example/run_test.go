package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jobgen/jobgen/example/internal/mailtest"
	"github.com/jobgen/jobgen/internal/pgtest"
)

// program is the example, built once for all tests.
var program string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "example")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return pgtest.Run(m)
}

// patience bounds one run of the program.
const patience = 2 * time.Minute

// outcome is how a run ended.
type outcome struct {
	code           int // -1 when killed
	killed         bool
	stdout, stderr string
}

func (o outcome) String() string {
	return fmt.Sprintf("exit %d, killed %v\n%s\n%s", o.code, o.killed, o.stdout, o.stderr)
}

// start runs the program in dir; wait returns how it ended.
func start(t *testing.T, dir string, args ...string) (cmd *exec.Cmd, wait func() (outcome, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cmd = exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, func() (outcome, error) {
		err := cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return outcome{}, err
		}
		if ctx.Err() != nil {
			return outcome{}, fmt.Errorf("the program did not end within %v:\n%s%s", patience, &stdout, &stderr)
		}
		o := outcome{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
			o.killed = status.Signaled() && status.Signal() == syscall.SIGKILL
		}
		return o, nil
	}
}

func execute(t *testing.T, dir string, args ...string) outcome {
	t.Helper()
	_, wait := start(t, dir, args...)
	o, err := wait()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

var mailFile = regexp.MustCompile(`^(\d+-[0-9a-f]{8})-\d+\.eml$`)

// tally is what a test finds in the folder of a run, by means of its own.
type tally struct {
	mails   map[string]int // deliveries by invoice and job
	refused [][]string     // line, invoice, reason
}

func countFiles(t *testing.T, outbox string) tally {
	t.Helper()
	c := tally{mails: make(map[string]int)}
	files, err := os.ReadDir(outbox)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if m := mailFile.FindStringSubmatch(f.Name()); m != nil {
			c.mails[m[1]]++
		}
	}
	data, err := os.ReadFile(filepath.Join(outbox, "refused.csv"))
	if errors.Is(err, os.ErrNotExist) {
		return c
	}
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	c.refused = rows[1:]
	return c
}

func (c tally) doubled() map[string]bool {
	d := make(map[string]bool)
	for key, n := range c.mails {
		if n > 1 {
			d[key] = true
		}
	}
	return d
}

// expect fails the test unless the folder holds so many mails and refusals, and says what the program says.
func expect(t *testing.T, o outcome, outbox string, lines, refused, doubled int) {
	t.Helper()
	c := countFiles(t, outbox)
	if o.code != 0 || len(c.mails) != lines-refused || len(c.refused) != refused || len(c.doubled()) != doubled {
		t.Fatalf("%d mails, %d doubled, %d refused of %d lines; want %d doubled, %d refused\n%v", len(c.mails), len(c.doubled()), len(c.refused), lines, doubled, refused, o)
	}
	if want := fmt.Sprintf("%d = %d + %d: every line is accounted for.", lines, lines-refused, refused); !strings.Contains(o.stdout, want) {
		t.Fatalf("%q is missing\n%v", want, o)
	}
}

// What is in the shipped file.
const (
	shippedLines   = 400
	shippedRefused = 20
)

func TestExampleBillsTheShippedFileAndASecondStartMailsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outbox := filepath.Join(dir, "outbox")
	first := execute(t, dir)
	expect(t, first, outbox, shippedLines, shippedRefused, 0)
	if _, err := os.Stat(filepath.Join(dir, "billing.db")); err != nil {
		t.Error(err)
	}
	for _, r := range countFiles(t, outbox).refused {
		if r[2] == "" || strings.Contains(r[2], "@nowak.example") {
			t.Errorf("reason %q", r)
		}
	}
	report, err := os.ReadFile(filepath.Join(outbox, "archive", "report-2026-01.txt"))
	if err != nil {
		t.Fatal(err)
	}
	const dead = 10 // of the refused lines, these were given up by their jobs
	if want := fmt.Sprintf("Invoices of 2026-01: %d sent, %d failed\n", shippedLines-shippedRefused, dead); !strings.HasPrefix(string(report), want) ||
		!strings.Contains(string(report), "\ninvoice 100032: bad invoice: total is zero\n") {
		t.Errorf("want %q and the reasons:\n%s", want, report)
	}
	if receipts, err := filepath.Glob(filepath.Join(outbox, "archive", "receipt-*.json")); err != nil || len(receipts) != shippedLines-shippedRefused {
		t.Errorf("%d receipts, %v", len(receipts), err)
	}
	if o := execute(t, dir, "-preflight"); o.code != exitOK || !strings.Contains(o.stdout, fmt.Sprintf("can run all %d live and dead jobs", dead)) {
		t.Errorf("preflight: %v", o)
	}
	second := execute(t, dir)
	expect(t, second, outbox, shippedLines, shippedRefused, 0)
	if !strings.Contains(second.stdout, fmt.Sprintf("%d of them are in the outbox from an earlier start", shippedLines-shippedRefused)) {
		t.Errorf("the second start doesn't say that all is done\n%v", second)
	}

	// The count is of the files: a mail that somebody took away is missed.
	for key := range countFiles(t, outbox).mails {
		files, _ := filepath.Glob(filepath.Join(outbox, key+"-*.eml"))
		if err := os.Remove(files[0]); err != nil {
			t.Fatal(err)
		}
		number, _, _ := strings.Cut(key, "-")
		third := execute(t, dir)
		if third.code != exitFailed || !strings.Contains(third.stdout, "DOES NOT ADD UP") || !strings.Contains(third.stdout, "invoice "+number+"\n") {
			t.Errorf("the loss of a mail went unnoticed\n%v", third)
		}
		break
	}
}

func TestExampleRunsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := execute(t, dir, "-in", small(t, dir, smallLines), "-db", pgtest.Start(t).NewDatabase(t), "-workers", "8")
	expect(t, o, filepath.Join(dir, "outbox"), smallLines, smallRefused, 0)
	if _, err := os.Stat(filepath.Join(dir, "billing.db")); err == nil {
		t.Error("there is a billing.db")
	}
}

func TestMultipliedInput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := execute(t, dir, "-in", small(t, dir, smallLines), "-n", "150", "-out", "mails")
	data, err := os.ReadFile(filepath.Join(dir, "mails", "input-150.csv"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := readInput(data)
	if err != nil || len(entries) != 150 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	expect(t, o, filepath.Join(dir, "mails"), 150, 2*smallRefused+1, 0)
}

// small writes the first n lines of the shipped file and returns its path.
func small(t *testing.T, dir string, n int) string {
	t.Helper()
	data, err := multiply(shipped, n)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "small.csv")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Of the first 60 lines.
const (
	smallLines   = 60
	smallRefused = 3
)

func TestFlakyMailServerDelaysButLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := execute(t, dir, "-in", small(t, dir, smallLines), "-smtp-flaky", "0.2", "-v")
	expect(t, o, filepath.Join(dir, "outbox"), smallLines, smallRefused, 0)
	if n := strings.Count(o.stderr, "421 too busy"); n < 3 {
		t.Errorf("%d failures were logged, want some\n%v", n, o)
	}
}

func TestMailServerGetsEveryMailOnce(t *testing.T) {
	t.Parallel()
	busy := make(chan struct{}, 1)
	server := mailtest.Start(t, func(command string) string {
		switch {
		case strings.Contains(command, "RCPT TO:<o'neill"):
			return "550 moved away"
		case strings.HasPrefix(command, "MAIL"):
			select {
			case busy <- struct{}{}:
				return "451 come back"
			default:
			}
		}
		return ""
	})
	dir := t.TempDir()
	o := execute(t, dir, "-in", small(t, dir, smallLines), "-smtp", server.Addr)
	expect(t, o, filepath.Join(dir, "outbox"), smallLines, smallRefused+1, 0)
	if got := len(server.Received()); got != smallLines-smallRefused-1 {
		t.Errorf("the server has %d mails", got)
	}
	if !strings.Contains(o.stdout, "rejected by the mail server") || !strings.Contains(o.stderr, `451 "come back"`) {
		t.Errorf("the server's answers are not told\n%v", o)
	}
}

func TestCorrectedLineIsMailedAndNoOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := small(t, dir, smallLines)
	expect(t, execute(t, dir, "-in", path), filepath.Join(dir, "outbox"), smallLines, smallRefused, 0)

	if o := execute(t, dir, "-in", path, "-db", "sqlite:another.db"); o.code != exitFailed || !strings.Contains(o.stderr, "mails and jobs belong together") {
		t.Errorf("another database mails all again\n%v", o)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data = bytes.Replace(data, []byte("accounts.old-mill.example"), []byte("accounts@old-mill.example"), 1)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, execute(t, dir, "-in", path), filepath.Join(dir, "outbox"), smallLines, smallRefused-1, 0)
}

func TestInterruptFinishesWhatIsUnderWayAndTheNextStartGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outbox := filepath.Join(dir, "outbox")
	const lines, refused = 150, 11 // enough to be interrupted in the midst of
	path := small(t, dir, lines)
	cmd, wait := start(t, dir, "-in", path, "-workers", "1")
	for deadline := time.Now().Add(patience); ; {
		if files, _ := filepath.Glob(filepath.Join(outbox, "*.eml")); len(files) >= 3 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no mail in the outbox")
		}
		<-time.After(5 * time.Millisecond)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	o, err := wait()
	if err != nil {
		t.Fatal(err)
	}
	sent := len(countFiles(t, outbox).mails)
	if o.code != exitInterrupted || !strings.Contains(o.stderr, "start again to go on") || sent >= lines-refused {
		t.Fatalf("%d mails\n%v", sent, o)
	}
	expect(t, execute(t, dir, "-in", path), outbox, lines, refused, 0)
}

func TestBadInputEndsWithAClearMessage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "other.csv"), []byte("a,b\n1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{exitFailed, "nowhere.csv: no such file", []string{"-in", "nowhere.csv"}},
		{exitFailed, "is a directory", []string{"-in", "."}},
		{exitFailed, "other.csv: line 1: the first line must name the columns", []string{"-in", "other.csv"}},
		{exitFailed, "want host:port", []string{"-smtp", "localhost"}},
		{exitFailed, "want postgres://", []string{"-db", "mysql:billing"}},
		{exitFailed, "connect", []string{"-db", "postgres://nobody@127.0.0.1:1/billing"}},
		{exitFailed, "not a directory", []string{"-out", "other.csv/outbox"}},
		{exitUsage, "Run with -h", []string{"surplus"}},
	} {
		if o := execute(t, dir, c.args...); o.code != c.code || !strings.Contains(o.stderr, c.want) || strings.Count(o.stderr, "\n") > 3 {
			t.Errorf("%v: want exit %d with %q\n%v", c.args, c.code, c.want, o)
		}
	}
	if o := execute(t, dir, "-h"); o.code != exitOK || !strings.Contains(o.stderr, "Start it again whenever you like") {
		t.Errorf("-h: %v", o)
	}
}

func TestRolesShareTheWork(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	input := filepath.Join(dir, "in.csv")
	if err := os.WriteFile(input, []byte("invoice,date,customer,address,email,items,total,currency\n"+good), 0o644); err != nil {
		t.Fatal(err)
	}
	web := execute(t, dir, "-in", input, "-role", "web")
	if mails := countFiles(t, filepath.Join(dir, "outbox")).mails; web.code != exitOK || len(mails) != 0 || !strings.Contains(web.stdout, "-role worker") {
		t.Fatalf("%d mails\n%v", len(mails), web)
	}
	expect(t, execute(t, dir, "-in", input, "-role", "worker"), filepath.Join(dir, "outbox"), 1, 0, 0)
}
