package pgtest

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// MissingError says that a program is not installed, and how to install it.
type MissingError struct {
	Program string // the first program that was not found
	Install string // one shell line that installs it
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is not installed; run: %s", e.Program, e.Install)
}

// packaged lists where packagers put programs that they leave out of PATH.
var packaged = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
	"/usr/sbin",
	"/usr/local/sbin",
	"/opt/homebrew/sbin",
	"/opt/homebrew/bin",
}

// findServer returns the folder that holds both initdb and postgres.
// The two must be of one version, hence one folder and not two look-ups.
func findServer() (string, error) {
	for _, dir := range candidates() {
		if isProgram(filepath.Join(dir, "initdb")) && isProgram(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", &MissingError{Program: "postgresql", Install: installLine()}
}

func findBouncer() (string, error) {
	for _, dir := range candidates() {
		if path := filepath.Join(dir, "pgbouncer"); isProgram(path) {
			return path, nil
		}
	}
	return "", &MissingError{Program: "pgbouncer", Install: installLine()}
}

// candidates lists folders to look into: PATH first, so that a developer's
// choice of version wins, then what pg_config names, then the packagers'
// folders with the newest version first.
func candidates() []string {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, pattern := range packaged {
		found, err := filepath.Glob(pattern)
		if err != nil {
			continue
		}
		slices.SortFunc(found, func(a, b string) int { return cmp.Compare(versionOf(b), versionOf(a)) })
		dirs = append(dirs, found...)
	}
	return dirs
}

// versionOf returns the first number in a path, or 0: 15 for
// /usr/lib/postgresql/15/bin. Text order would put 9 before 15.
func versionOf(path string) float64 {
	start := strings.IndexAny(path, "0123456789")
	if start < 0 {
		return 0
	}
	number := path[start:]
	if end := strings.IndexFunc(number, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }); end >= 0 {
		number = number[:end]
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0
	}
	return v
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

func installLine() string {
	if runtime.GOOS == "darwin" {
		return "brew install postgresql@17 pgbouncer"
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		if _, err := exec.LookPath("dnf"); err == nil {
			return "sudo dnf install -y postgresql-server pgbouncer"
		}
	}
	return "sudo apt-get install -y postgresql pgbouncer"
}
