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

// errorOf is err as it is stored: text without the job's secrets that every database takes, cut to size, with a fingerprint
// that is the same for errors that differ only in numbers. Secrets are looked for before the cut, which may go through one.
func (a *attempt) errorOf(err error) *AttemptError {
	e := &AttemptError{Message: storable(a.conceal(err.Error()), maxMessage)}
	var p *PanicError
	if errors.As(err, &p) {
		e.Stack = storable(a.conceal(p.Stack), maxStack)
	}
	e.Fingerprint = fingerprintOf(a.info.Kind, e.Message, e.Stack != "")
	return e
}

func fingerprintOf(kind, message string, panicked bool) string {
	if panicked {
		message = "panic " + message
	}
	sum := sha256.Sum256([]byte(kind + "\x00" + withoutDigits(message)))
	return hex.EncodeToString(sum[:8])
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
