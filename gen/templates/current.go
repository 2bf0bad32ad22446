package templates

import (
	"go/scanner"
	"go/token"
)

// sameTokens reports whether gofmt would make the same file of a and b, but for white space that somebody changed by
// hand: their tokens and comments are the same, in the same order. It takes a tenth of the time of formatting.
func sameTokens(a, b []byte) bool {
	x, y := newTokens(a), newTokens(b)
	for {
		l := x.next()
		if l != y.next() || x.broken || y.broken {
			return false
		}
		if l.tok == token.EOF {
			return true
		}
	}
}

// tokens reads the tokens of a file, without the semicolons that a line break before a closing bracket implies.
type tokens struct {
	s      scanner.Scanner
	ahead  *lexeme
	broken bool
}

type lexeme struct {
	tok  token.Token
	text string
}

func newTokens(src []byte) *tokens {
	t := &tokens{}
	fset := token.NewFileSet()
	file := fset.AddFile("", fset.Base(), len(src))
	t.s.Init(file, src, func(token.Position, string) { t.broken = true }, scanner.ScanComments)
	return t
}

func (t *tokens) next() lexeme {
	l := t.scan()
	if l.tok == token.SEMICOLON {
		after := t.scan()
		if after.tok == token.RBRACE || after.tok == token.RPAREN {
			return after
		}
		t.ahead = &after
	}
	return l
}

func (t *tokens) scan() lexeme {
	if l := t.ahead; l != nil {
		t.ahead = nil
		return *l
	}
	_, tok, text := t.s.Scan()
	if tok == token.SEMICOLON {
		text = "" // written or implied by the end of the line
	}
	return lexeme{tok, text}
}
