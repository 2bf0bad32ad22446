package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/jobgen/jobgen"

// Paths outside the module that more than one rule names.
const (
	bun      = "github.com/uptrace/bun"
	pgx      = "github.com/jackc/pgx"
	sqlite   = "modernc.org/sqlite"
	jennifer = "github.com/dave/jennifer"
	xtools   = "golang.org/x/tools"
	cli      = "github.com/urfave/cli"
)

// A rule is about one package and everything that it imports, directly or
// not, in code that is not a test.
//
// A path stands for itself and all below it; with "/*" at its end, only for
// what is below. A path that begins with "/" is in the module.
type rule struct {
	pkg    string
	never  []string // nowhere among what it leads to
	except []string // parts of never that it may lead to
	direct []string // when set: apart from the standard library it imports these and no others
	others []string // when set: the third-party modules that it may lead to
	why    string
}

// jobjson writes JSON for generated codecs. The emitters write with it the text
// that doesn't change from call to call, so that both escape alike.
const jobjson = "/runtime/jobjson"

var rules = []rule{
	{
		pkg:    jobjson,
		direct: []string{},
		why:    "it is a leaf on the standard library, which is why the generator may share it",
	},
	{
		pkg:    "/runtime",
		never:  []string{"/store", "/gen", "/jobtest", "/dashboard", "/example", "/cmd", bun, pgx, sqlite, xtools, jennifer, cli},
		others: []string{"github.com/google/uuid", "github.com/netresearch/go-cron"},
		why:    "every service that only enqueues links it: it must stay light, and know no database",
	},
	{
		pkg:    "/runtime/storetest",
		never:  []string{"/store", "/jobtest", "/gen", bun, pgx, sqlite},
		why:    "a contract that knows one of its stores is not a contract",
		others: []string{"github.com/google/uuid", "github.com/netresearch/go-cron", "github.com/google/go-cmp"},
	},
	{
		pkg:   "/store/bun",
		never: []string{"/gen", "/jobtest", "/dashboard", "/example", "/cmd", xtools, jennifer, cli},
		why:   "a store needs neither the generator nor what is built on stores",
	},
	{
		pkg:   "/jobtest",
		never: []string{"/store", "/gen", "/example", bun, pgx, sqlite, xtools, jennifer},
		why:   "users' unit tests must not compile a database",
	},
	{
		pkg:    "/gen",
		never:  []string{"/runtime", "/store", "/jobtest", "/example", "/cmd", bun, pgx, sqlite, cli},
		except: []string{jobjson},
		why:    "the generator reads source; what runs jobs is none of its business, and would slow its build",
	},
	{
		pkg:   "/gen/templates",
		never: []string{"/gen/internal/load", xtools},
		why:   "emitters are functions of the model alone, whatever it was read from",
	},
	{
		pkg:    "/gen/internal/model",
		direct: []string{},
		why:    "the model is plain data",
	},
	{
		pkg:    "/cmd/jobgen",
		never:  []string{"/runtime", "/store", bun},
		except: []string{jobjson},
		direct: []string{"/gen", cli},
		why:    "a command line holds no logic of its own",
	},
	{
		pkg:   "/cmd/jobctl",
		never: []string{"/gen", "/jobtest", "/example", xtools, jennifer},
		why:   "operators have no source code at hand",
	},
	{
		pkg:   "/example/jobs",
		never: []string{"/example/gen", "/example/jobs/*", "/store", bun},
		why:   "argument types are a leaf: stubs and handlers both import them",
	},
	{
		pkg:   "/example/gen",
		never: []string{"/example/gen/worker", "/example/jobs/*", "/store", "/gen", bun, pgx, sqlite, xtools, jennifer},
		why:   "whoever enqueues must not link the handlers, nor the database that another service may use",
	},
	{
		pkg:   "/example/gen/worker",
		never: []string{"/store", "/gen", xtools, jennifer},
		why:   "the registry binds handlers; it brings no store of its own",
	},
}

func TestImportDirections(t *testing.T) {
	tree := list(t)
	for _, r := range rules {
		t.Run(strings.TrimPrefix(r.pkg, "/"), func(t *testing.T) {
			root := absolute(r.pkg)
			if tree[root] == nil {
				t.Fatalf("package %s does not exist", root)
			}
			for path, chain := range tree.reach(root) {
				for _, bad := range r.never {
					if matches(path, bad) && !slices.ContainsFunc(r.except, func(ok string) bool { return matches(path, ok) }) {
						t.Errorf("%s\n(%s)", chain, r.why)
					}
				}
				if r.others != nil && tree.thirdParty(path) && !slices.ContainsFunc(r.others, func(ok string) bool { return matches(path, ok) }) {
					t.Errorf("%s: not among the modules it may lead to\n(%s)", chain, r.why)
				}
			}
			for _, path := range tree[root].Imports {
				if r.direct != nil && !tree[path].Standard && !slices.ContainsFunc(r.direct, func(ok string) bool { return matches(path, ok) }) {
					t.Errorf("%s imports %s: not among what it may import\n(%s)", root, path, r.why)
				}
			}
		})
	}
}

// What exists for tests must not reach users' programs.
func TestNothingShippedLeadsToTestHelpers(t *testing.T) {
	tree := list(t)
	shipped := []string{"/runtime", "/store", "/gen", "/cmd", "/example"}
	helpers := []string{"/runtime/storetest", "/example/internal/mailtest"}
	for root := range tree {
		in := func(pattern string) bool { return matches(root, pattern) }
		if !slices.ContainsFunc(shipped, in) || slices.ContainsFunc(helpers, in) {
			continue
		}
		for path, chain := range tree.reach(root) {
			if path == "testing" || matches(path, "/internal/pgtest") {
				t.Error(chain)
			}
		}
	}
}

// The rules are only as good as their matching.
func TestMatches(t *testing.T) {
	for _, test := range []struct {
		path, pattern string
		want          bool
	}{
		{bun, bun, true},
		{bun + "/dialect/pgdialect", bun, true},
		{bun + "ny", bun, false},
		{module + "/example/jobs", "/example/jobs/*", false},
		{module + "/example/jobs/billing", "/example/jobs/*", true},
		{module + "/gen", "/gen", true},
		{module + "/example/gen", "/gen", false},
	} {
		if got := matches(test.path, test.pattern); got != test.want {
			t.Errorf("matches(%q, %q) = %v", test.path, test.pattern, got)
		}
	}
}

func absolute(path string) string {
	if strings.HasPrefix(path, "/") {
		return module + path
	}
	return path
}

func matches(path, pattern string) bool {
	pattern, below := strings.CutSuffix(absolute(pattern), "/*")
	return !below && path == pattern || strings.HasPrefix(path, pattern+"/")
}

type listed struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

// graph holds every package of the module and all that they import.
type graph map[string]*listed

func list(t *testing.T) graph {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Standard", module+"/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	tree := make(graph)
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		p := new(listed)
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return tree
		} else if err != nil {
			t.Fatal(err)
		}
		tree[p.ImportPath] = p
	}
}

func (g graph) thirdParty(path string) bool {
	p := g[path]
	return p != nil && !p.Standard && path != module && !strings.HasPrefix(path, module+"/")
}

// reach returns all that root leads to, each with a shortest chain of imports.
// Below the standard library it doesn't look.
func (g graph) reach(root string) map[string]string {
	chains := make(map[string]string)
	from := map[string]string{root: root}
	for queue := []string{root}; len(queue) > 0; queue = queue[1:] {
		p := g[queue[0]]
		if p == nil || p.Standard {
			continue
		}
		for _, path := range p.Imports {
			if from[path] == "" {
				from[path] = from[p.ImportPath] + "\n\timports " + path
				chains[path] = from[path]
				queue = append(queue, path)
			}
		}
	}
	return chains
}
