package mistakes

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jobgen/jobgen/internal/proof"
)

// TestPeersCellsAreProved holds what the page says of River and asynq against
// the tests of the bench, which are another module and run apart: a cell with
// a stage has a subtest, and what the compiler refuses is shown by compiling.
func TestPeersCellsAreProved(t *testing.T) {
	proofs := benchTests(t)
	used := make(map[string]bool)
	for _, r := range rows(t) {
		used[r.shown] = true
		subtests := proofs[r.shown]
		if r.shown != "" && subtests == nil {
			t.Errorf("line %d: the bench has no %s", r.line, r.shown)
		}
		for name, c := range map[string]cell{"river": r.river, "asynq": r.asynq} {
			text, shown := subtests[name]
			if shown != (c.stage != none) {
				t.Errorf("line %d: %s is %q, and a subtest is there: %t", r.line, name, c.stage, shown)
				continue
			}
			if compiled := strings.Contains(text, "doesNotCompile"); compiled != (c.stage == "compile") {
				t.Errorf("line %d: %s is %q, and its test compiles: %t", r.line, name, c.stage, compiled)
			}
			if vetted := strings.Contains(text, "compilesButVetComplains"); vetted != (c.stage == "check") {
				t.Errorf("line %d: %s is %q, and its test vets: %t", r.line, name, c.stage, vetted)
			}
		}
	}
	for name := range proofs {
		if !used[name] {
			t.Errorf("no row names %s of the bench", name)
		}
	}
}

// benchTests reads the tests of the bench: for each, the source of what its
// subtests river and asynq call.
func benchTests(t *testing.T) map[string]map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(bench, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", bench, err)
	}
	tests := make(map[string]map[string]string)
	for _, path := range files {
		src := proof.Read(t, path)
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(f.Name.Name, "Test") || f.Name.Name == "TestMain" {
				continue
			}
			subtests := make(map[string]string)
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if run, ok := call.Fun.(*ast.SelectorExpr); ok && run.Sel.Name == "Run" && len(call.Args) == 2 {
					if name, ok := call.Args[0].(*ast.BasicLit); ok {
						s, _ := strconv.Unquote(name.Value)
						subtests[s] = src[set.Position(call.Pos()).Offset:set.Position(call.End()).Offset]
					}
				}
				return true
			})
			for s := range subtests {
				if !slices.Contains([]string{"river", "asynq"}, s) {
					t.Errorf("%s: subtest %q is nobody's", f.Name.Name, s)
				}
			}
			tests[f.Name.Name] = subtests
		}
	}
	return tests
}
