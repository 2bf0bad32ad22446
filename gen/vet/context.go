package vet

import (
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/analysis"
)

// Context finds handlers that do not listen to their context: ones that use context.Background or context.TODO, that
// sleep, that call what has a form with a context without one, and ones that loop and never use it. A timeout, a stop
// of the worker and a lost lease reach a handler through its context alone: one that does not listen holds up each
// deploy, and goes on working after its job was given to somebody else.
var Context = &analysis.Analyzer{
	Name: "jobctx",
	Doc:  "find handlers that do not listen to their context",
	URL:  "https://pkg.go.dev/github.com/jobgen/jobgen/gen/vet",
	Run:  runContext,
}

// deaf are functions that block and take no context, with what to use instead.
var deaf = map[string]string{
	"net/http.Get":                          "http.NewRequestWithContext",
	"net/http.Head":                         "http.NewRequestWithContext",
	"net/http.Post":                         "http.NewRequestWithContext",
	"net/http.PostForm":                     "http.NewRequestWithContext",
	"net/http.NewRequest":                   "http.NewRequestWithContext",
	"(*net/http.Client).Get":                "http.NewRequestWithContext",
	"(*net/http.Client).Head":               "http.NewRequestWithContext",
	"(*net/http.Client).Post":               "http.NewRequestWithContext",
	"(*net/http.Client).PostForm":           "http.NewRequestWithContext",
	"os/exec.Command":                       "exec.CommandContext",
	"net.Dial":                              "net.Dialer.DialContext",
	"net.DialTimeout":                       "net.Dialer.DialContext",
	"net.LookupHost":                        "net.Resolver.LookupHost",
	"(*database/sql.DB).Begin":              "BeginTx",
	"(*database/sql.DB).Exec":               "ExecContext",
	"(*database/sql.DB).Ping":               "PingContext",
	"(*database/sql.DB).Prepare":            "PrepareContext",
	"(*database/sql.DB).Query":              "QueryContext",
	"(*database/sql.DB).QueryRow":           "QueryRowContext",
	"(*database/sql.Tx).Exec":               "ExecContext",
	"(*database/sql.Tx).Prepare":            "PrepareContext",
	"(*database/sql.Tx).Query":              "QueryContext",
	"(*database/sql.Tx).QueryRow":           "QueryRowContext",
	"(*database/sql.Stmt).Exec":             "ExecContext",
	"(*database/sql.Stmt).Query":            "QueryContext",
	"(*database/sql.Stmt).QueryRow":         "QueryRowContext",
	"(*github.com/uptrace/bun.DB).Exec":     "ExecContext",
	"(*github.com/uptrace/bun.DB).Query":    "QueryContext",
	"(*github.com/uptrace/bun.DB).QueryRow": "QueryRowContext",
	"(*github.com/uptrace/bun.DB).Begin":    "BeginTx",
}

func runContext(pass *analysis.Pass) (any, error) {
	for _, handler := range handlers(pass) {
		ctx := contextOf(pass, handler)
		late := givesContextLater(pass, handler.Body)
		used, loop := false, ast.Node(nil)
		ast.Inspect(handler.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				used = used || ctx != nil && pass.TypesInfo.Uses[n] == ctx
			case *ast.ForStmt:
				if n.Cond == nil || calls(pass, n.Body) {
					loop = firstOf(loop, n)
				}
			case *ast.RangeStmt:
				_, waits := pass.TypesInfo.TypeOf(n.X).Underlying().(*types.Chan)
				if waits || calls(pass, n.Body) {
					loop = firstOf(loop, n)
				}
			case *ast.CallExpr:
				if f := callee(pass, n); !late || !isFunc(f, "net/http", "NewRequest") {
					reportDeaf(pass, handler, n)
				}
			}
			return true
		})
		if loop != nil && !used {
			pass.Reportf(loop.Pos(), "handler %s loops and never looks at its context: a timeout, a stop of the worker or a lost lease can't end it; check ctx.Err() in the loop or pass ctx on", handler.Name.Name)
		}
	}
	return nil, nil
}

// givesContextLater reports whether a handler gives a request its context after it was made.
func givesContextLater(pass *analysis.Pass, body *ast.BlockStmt) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			f := callee(pass, call)
			found = found || isMethod(f, "net/http", "Request", "WithContext") || isMethod(f, "net/http", "Request", "Clone")
		}
		return !found
	})
	return found
}

// computing are packages of the standard library that only compute.
var computing = []string{
	"bytes", "cmp", "errors", "html", "maps", "math", "math/big", "math/bits", "path", "path/filepath", "regexp", "slices", "sort",
	"strconv", "strings", "time", "unicode", "unicode/utf8",
}

// calls reports whether a loop's body calls a function that may take long: a loop that only computes is soon over.
func calls(pass *analysis.Pass, body *ast.BlockStmt) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			f := callee(pass, call)
			short := f == nil || f.Pkg() == nil || oneOf(f.Pkg().Path(), computing) && f.FullName() != "time.Sleep" ||
				isFunc(f, "fmt", "Sprint", "Sprintf", "Sprintln", "Errorf")
			found = found || !short
		}
		return !found
	})
	return found
}

func firstOf(known, found ast.Node) ast.Node {
	if known != nil {
		return known
	}
	return found
}

func reportDeaf(pass *analysis.Pass, handler *ast.FuncDecl, call *ast.CallExpr) {
	f := callee(pass, call)
	switch {
	case f == nil:
	case isFunc(f, "context", "Background", "TODO"):
		pass.ReportRangef(call, "handler %s uses context.%s: a timeout, a stop of the worker or a lost lease won't reach what gets it; pass the handler's own context, or context.WithoutCancel of it when that is meant", handler.Name.Name, f.Name())
	case isFunc(f, "time", "Sleep"):
		pass.ReportRangef(call, "handler %s sleeps and holds its worker slot, deaf to its context; return jobrt.Snooze to come back later, or select on ctx.Done()", handler.Name.Name)
	case deaf[f.FullName()] != "":
		pass.ReportRangef(call, "handler %s calls %s, which its context can't end; use %s", handler.Name.Name, f.FullName(), deaf[f.FullName()])
	}
}

// contextOf returns a handler's context parameter; nil when it has no name.
func contextOf(pass *analysis.Pass, f *ast.FuncDecl) types.Object {
	for _, field := range f.Type.Params.List {
		for _, name := range field.Names {
			if obj := pass.TypesInfo.Defs[name]; obj != nil && isNamed(obj.Type(), "context", "Context") {
				return obj
			}
		}
	}
	return nil
}
