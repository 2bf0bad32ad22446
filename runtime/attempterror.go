package jobrt

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of the stored text of an error, in bytes.
const (
	maxMessage = 8 << 10
	maxStack   = 32 << 10
)

// attemptError is err as it is stored: text that every database takes, cut to size, with a fingerprint that is the same
// for errors that differ only in numbers.
func attemptError(kind string, err error) *AttemptError {
	e := &AttemptError{Message: storable(err.Error(), maxMessage)}
	origin := e.Message
	var p *PanicError
	if errors.As(err, &p) {
		e.Stack = storable(p.Stack, maxStack)
		origin = "panic " + origin
	}
	sum := sha256.Sum256([]byte(kind + "\x00" + withoutDigits(origin)))
	e.Fingerprint = hex.EncodeToString(sum[:8])
	return e
}

// storable replaces what PostgreSQL's text refuses and cuts the rest to limit bytes.
func storable(s string, limit int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) <= limit {
		return s
	}
	const mark = " … (cut)"
	cut := limit - len(mark)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + mark
}

// withoutDigits makes "timeout after 31 ms for order 7" and "… 28 ms for order 9" the same.
func withoutDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, s)
}
