package templates_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobgen/jobgen/gen/internal/check"
	"github.com/jobgen/jobgen/gen/internal/load"
	"github.com/jobgen/jobgen/gen/internal/model"
	"github.com/jobgen/jobgen/gen/templates"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	tortureDir  = "../internal/torture/testdata"
	torturePath = "github.com/jobgen/jobgen/gen/internal/torture/testdata"
)

// tortureModel reads the packages in gen/internal/torture/testdata, as a module of their own, so that their queues and
// jobs are nobody else's, and without the code generated for them.
func tortureModel(t *testing.T) *model.Module {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(tortureDir)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "gen")); err != nil {
		t.Fatal(err)
	}
	writeModule(t, dir)
	src, diags, err := load.Load(t.Context(), load.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	m, more := check.Check(src, check.Options{Service: "torture", OutPath: torturePath + "/gen"})
	for _, d := range append(diags, more...) {
		t.Errorf("%s:%d:%d: %s [%s]", d.Pos.File, d.Pos.Line, d.Pos.Column, d.Message, d.Code)
	}
	if t.Failed() {
		t.FailNow()
	}
	return m
}

// writeModule writes the go.mod of a copy of the torture packages. Of this repository the copy sees nothing but the
// runtime: there must not be two packages of one path.
func writeModule(t *testing.T, dir string) {
	t.Helper()
	t.Setenv("GOFLAGS", "-mod=mod")
	runtimeOnly := t.TempDir()
	for _, part := range []string{"runtime", "internal/timetable"} {
		if err := os.CopyFS(filepath.Join(runtimeOnly, part), os.DirFS("../../"+part)); err != nil {
			t.Fatal(err)
		}
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile("../../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	own := "module " + torturePath + "\n\ngo 1.26\n\nrequire github.com/jobgen/jobgen v0.0.0\n\nreplace github.com/jobgen/jobgen => " + runtimeOnly + "\n"
	for name, data := range map[string][]byte{
		filepath.Join(runtimeOnly, "go.mod"): mod,
		filepath.Join(dir, "go.mod"):         []byte(own),
		filepath.Join(dir, "go.sum"):         sum,
	} {
		if err := os.WriteFile(name, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func render(t *testing.T, m *model.Module) map[string]string {
	t.Helper()
	files, err := templates.Render(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string, len(files))
	for name, src := range files {
		out[name] = string(src)
	}
	return out
}

func TestRenderWritesTheCheckedInFiles(t *testing.T) {
	got := render(t, tortureModel(t))
	root := filepath.Join(tortureDir, "gen")
	want := make(map[string]string)
	if err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		src, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		want[filepath.ToSlash(rel)] = string(src)
		return err
	}); err != nil && !*update {
		t.Fatal(err)
	}
	if !*update {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the checked-in files are stale; go test ./gen/templates -update writes them (-want +got):\n%s", diff)
		}
		return
	}
	for name, src := range got {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(src), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for name := range want {
		if _, kept := got[name]; !kept {
			if err := os.Remove(filepath.Join(root, filepath.FromSlash(name))); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestRenderDoesNotDependOnOrder(t *testing.T) {
	m := tortureModel(t)
	want := render(t, m)
	for seed := range uint64(5) {
		random := rand.New(rand.NewPCG(seed, 0))
		shuffle(random, m.Jobs)
		shuffle(random, m.Queues)
		shuffle(random, m.Deps)
		shuffle(random, m.Imports)
		shuffle(random, m.Types)
		shuffle(random, m.Packages)
		for _, p := range m.Packages {
			shuffle(random, p.Jobs)
		}
		if diff := cmp.Diff(want, render(t, m)); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}

func shuffle[E any](random *rand.Rand, s []E) {
	random.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
}

var machinePath = regexp.MustCompile(`/(home|root|tmp|Users|work)/`)

func TestEveryFileHasTheHeaderAndNoTraceOfItsMaking(t *testing.T) {
	for name, src := range render(t, tortureModel(t)) {
		if !strings.HasPrefix(src, templates.Header+"\n\n") {
			t.Errorf("%s begins with %.80q", name, src)
		}
		if found := machinePath.FindString(src); found != "" {
			t.Errorf("%s holds a path of this machine: %q", name, found)
		}
		if strings.Contains(src, "go1.") || strings.Contains(src, "billing.go") {
			t.Errorf("%s names a version or a source file", name)
		}
	}
}

func TestTheStandardLibraryIsImportedFirst(t *testing.T) {
	for name, src := range render(t, tortureModel(t)) {
		f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		other := false
		for _, imp := range f.Imports {
			if strings.Contains(imp.Path.Value, ".") {
				other = true
			} else if other {
				t.Errorf("%s: %s comes after other modules' packages", name, imp.Path.Value)
			}
		}
	}
}

// TestNoLocalShadowsAnImport holds the names of imports against every identifier that generated functions declare.
func TestNoLocalShadowsAnImport(t *testing.T) {
	for name, src := range render(t, tortureModel(t)) {
		f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		imports := make(map[string]bool)
		for _, imp := range f.Imports {
			if imp.Name != nil {
				imports[imp.Name.Name] = true
			} else {
				path := strings.Trim(imp.Path.Value, `"`)
				imports[path[strings.LastIndexByte(path, '/')+1:]] = true
			}
		}
		declared := func(id *ast.Ident) {
			if imports[id.Name] {
				t.Errorf("%s declares %s, which is an import too", name, id.Name)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				declared(n.Name)
			case *ast.TypeSpec:
				declared(n.Name)
			case *ast.ValueSpec:
				for _, id := range n.Names {
					declared(id)
				}
			case *ast.FuncType:
				for _, p := range n.Params.List {
					for _, id := range p.Names {
						declared(id)
					}
				}
			case *ast.AssignStmt:
				for _, e := range n.Lhs {
					if id, ok := e.(*ast.Ident); ok && n.Tok == token.DEFINE {
						declared(id)
					}
				}
			}
			return true
		})
	}
}

func TestRenderRefusesNamesThatCollide(t *testing.T) {
	job := func(stub string) *model.Job {
		return &model.Job{Name: "s/p." + stub, Stub: stub, Func: model.Name{Path: "example.com/p", Pkg: "p", Name: "F" + stub}}
	}
	for _, tt := range []struct {
		jobs []*model.Job
		want string
	}{
		{[]*model.Job{job("Send"), job("Send")}, "both generate EnqueueSend"},
		{[]*model.Job{job("EnqueueSend"), job("SendJob")}, "both generate EnqueueSendJob"},
		{[]*model.Job{job("r")}, "Enqueuer is a name that the generated package needs"},
	} {
		_, err := templates.Render(&model.Module{OutPath: "example.com/gen", OutName: "gen", WorkerDir: "worker", Jobs: tt.jobs}, nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want an error with %q", err, tt.want)
		}
	}
}

func TestAModuleWithoutJobsRendersAnEmptyClientAndRegistry(t *testing.T) {
	files := render(t, &model.Module{Path: "shop", Service: "shop", OutPath: "shop/gen", OutName: "gen", WorkerDir: "worker"})
	want := []string{"client_gen.go", "worker/register_gen.go"}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
		t.Fatalf("files %v, want %v", got, want)
	}
	if !strings.Contains(files["worker/register_gen.go"], "func Register(r *jobrt.Registry, d Deps) error {\n\tif err := r.DeclareService(\"shop\", \"shop\"); err != nil {\n\t\treturn err\n\t}\n\treturn nil\n}") {
		t.Errorf("registry:\n%s", files["worker/register_gen.go"])
	}
}

func TestTextFromAnnotationsCannotBreakOut(t *testing.T) {
	text := "first\r\nfunc init() { panic(1) }\n*/ ` \" \\ \x00"
	j := &model.Job{
		Name: "s/p.F", Stub: "F", Func: model.Name{Path: "example.com/p", Pkg: "p", Name: "F"},
		Doc: []string{text, "//go:build ignore", "\tcode"},
		Settings: model.Settings{
			Queue: text, Deprecated: text, Tags: []string{text}, Version: 1, Declared: []model.Setting{{Key: "owner", Value: text}},
		},
	}
	files := render(t, &model.Module{
		Path: "example.com/p", Service: "s", OutPath: "example.com/gen", OutName: "gen", WorkerDir: "worker", Jobs: []*model.Job{j},
		Packages: []*model.Package{{Path: "example.com/p", Name: "p", Stem: "p", Jobs: []*model.Job{j}}},
		Queues:   []*model.Queue{{Name: text}},
		Imports:  []model.Import{{Path: "example.com/p", Name: "p"}},
	})
	for name, src := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "init" {
				t.Errorf("%s: text became code:\n%s", name, src)
			}
		}
	}
}

// BenchmarkRender renders a thousand jobs of 25 packages.
func BenchmarkRender(b *testing.B) {
	m := &model.Module{Path: "example.com/m", Service: "m", OutPath: "example.com/m/gen", OutName: "gen", WorkerDir: "worker"}
	basic := func(kind model.Kind) *model.Type {
		return &model.Type{Kind: kind, ID: kind.String(), Go: model.Expr{{Text: kind.String()}}}
	}
	for p := range 25 {
		pkg := &model.Package{Path: fmt.Sprintf("example.com/m/p%02d", p), Name: fmt.Sprintf("p%02d", p), Stem: fmt.Sprintf("p%02d", p)}
		m.Imports = append(m.Imports, model.Import{Path: pkg.Path, Name: pkg.Name})
		for i := range 40 {
			n := model.Name{Path: pkg.Path, Pkg: pkg.Name, Name: fmt.Sprintf("Args%d", i)}
			args := &model.Type{Kind: model.Struct, ID: n.Path + "." + n.Name, Name: &n, Go: model.Expr{{Name: n}}}
			for _, kind := range []model.Kind{model.Int64, model.String, model.Bool, model.Float64, model.Time} {
				f := &model.Field{Name: "F" + kind.String(), Path: []string{"F" + kind.String()}, JSON: kind.String(), Type: basic(kind)}
				if kind == model.Time {
					f.Type.Go = model.Expr{{Name: model.Name{Path: "time", Pkg: "time", Name: "Time"}}}
				}
				args.Fields = append(args.Fields, f)
				args.Shape = append(args.Shape, model.ShapeField{Name: f.Name, Type: f.Type.Go, Tag: `json:"x"`})
			}
			stub := fmt.Sprintf("P%02dJob%d", p, i)
			pkg.Jobs = append(pkg.Jobs, &model.Job{
				Name: "m/" + stub, Stub: stub, Func: model.Name{Path: pkg.Path, Pkg: pkg.Name, Name: stub}, Args: args,
				Settings: model.Settings{Queue: "default", Version: 1, Retry: 10, Priority: 5},
			})
		}
		m.Packages = append(m.Packages, pkg)
		m.Jobs = append(m.Jobs, pkg.Jobs...)
	}
	for b.Loop() {
		if _, err := templates.Render(m, nil); err != nil {
			b.Fatal(err)
		}
	}
}
