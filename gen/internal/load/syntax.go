package load

import (
	"fmt"
	"go/ast"
	"go/scanner"
	"go/token"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// syntaxErrors returns the syntax errors that matter: all when annotations
// have lost their functions, else those outside function bodies.
func (c *collector) syntaxErrors(f *file, lost bool) []diag.Diagnostic {
	var ds []diag.Diagnostic
	for _, e := range f.errors {
		if !lost && insideBody(c.src.Fset, f.ast, e.Pos.Offset) {
			continue
		}
		ds = append(ds, syntaxError(c.src.Fset, f, e))
	}
	if len(ds) > 3 {
		ds = append(ds[:3], diag.Diagnostic{Code: "JG009", Pos: ds[3].Pos, Message: fmt.Sprintf("and %d more syntax errors", len(ds)-3)})
	}
	return ds
}

// syntaxError describes an error of the parser, at its place on the disk
// whatever //line says.
func syntaxError(fset *token.FileSet, f *file, e *scanner.Error) diag.Diagnostic {
	msg := "syntax error: " + e.Msg
	if strings.Contains(msg, "'<<'") || strings.Contains(msg, "'>>'") {
		msg += " (a merge conflict?)"
	}
	return diag.Diagnostic{Code: "JG009", Message: msg,
		Pos: model.Pos{File: f.path, Offset: e.Pos.Offset, Line: lineOf(fset, f.ast, e.Pos.Offset), Column: e.Pos.Column}}
}

// lineOf returns the physical line of an offset, whatever //line says.
func lineOf(fset *token.FileSet, tree *ast.File, offset int) int {
	tf := fset.File(tree.FileStart)
	if tf == nil || offset > tf.Size() {
		return 1
	}
	return tf.PositionFor(tf.Pos(offset), false).Line
}

func insideBody(fset *token.FileSet, tree *ast.File, offset int) bool {
	tf := fset.File(tree.FileStart)
	if tf == nil || offset > tf.Size() {
		return false
	}
	at := tf.Pos(offset)
	for _, d := range tree.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil && fn.Body.Lbrace < at && at <= fn.Body.Rbrace {
			return true
		}
	}
	return false
}
