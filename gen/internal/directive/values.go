package directive

import (
	"fmt"
	"go/token"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // time zones must be checked alike on machines without a zone database
	"unicode"
	"unicode/utf8"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/internal/timetable"
)

// wants names the values that the key takes.
func (k *Key) wants() string {
	list := ""
	if k.List {
		list = ", or several with commas between"
	}
	switch k.Kind {
	case Bool:
		return "nothing, true or false"
	case Word:
		return "a name" + list
	case Int:
		return fmt.Sprintf("a whole number from %d to %d", k.Min, k.Max)
	case Duration:
		return "a duration with its unit" + list
	case Enum:
		return "one of " + strings.Join(k.Values, ", ")
	case GoName:
		return "an exported Go name"
	case Fields:
		return "a field of the argument struct" + list
	case Errors:
		return "an error variable or type" + list
	case Funcs:
		return "a function" + list
	case Cron:
		return "a cron expression in quotes"
	case Zone:
		return "an IANA time zone"
	case Moment:
		return "a date, with a time of day if wanted, or an RFC 3339 time"
	case Rate:
		return "a number per s, m, h or d"
	case Percent:
		return "a percentage"
	case Text:
		return "a text"
	}
	return "no value"
}

// parse checks v.Text, fills in the typed value and makes the text canonical.
// It returns what is wrong, or "".
func (k *Key) parse(v *Value, of int) string {
	want := "want " + k.wants() + ", such as " + k.Example
	switch k.Kind {
	case Bool:
		if v.Text != "true" && v.Text != "false" {
			return want
		}
	case Word:
		if msg := checkWord(v.Text, k.Slash); msg != "" {
			return msg
		}
	case Int:
		n, err := strconv.ParseInt(v.Text, 10, 64)
		if err != nil || n < k.Min || n > k.Max {
			return want
		}
		v.Int, v.Text = n, strconv.FormatInt(n, 10)
	case Duration:
		return k.parseDuration(v, want)
	case Enum:
		for _, e := range k.Values {
			if v.Text == e {
				return ""
			}
		}
		return want + diag.DidYouMean(v.Text, k.Values)
	case GoName:
		if !token.IsIdentifier(v.Text) || !token.IsExported(v.Text) {
			return want
		}
	case Fields:
		return k.parseField(v, of, want)
	case Errors, Funcs:
		for _, part := range strings.Split(v.Text, ".") {
			if !token.IsIdentifier(part) {
				return want
			}
		}
	case Cron:
		if err := timetable.CheckCron(v.Text); err != nil {
			return err.Error()
		}
	case Zone:
		if _, err := time.LoadLocation(v.Text); err != nil || v.Text == "" || v.Text == "Local" {
			return "unknown time zone; " + want
		}
	case Moment:
		if _, err := timetable.Moment(v.Text, "UTC", false); err != nil {
			return want
		}
	case Rate:
		n, unit, _ := strings.Cut(v.Text, "/")
		i, err := strconv.ParseInt(n, 10, 32)
		if err != nil || i < 1 || len(unit) != 1 || !strings.Contains("smhd", unit) {
			return want
		}
		v.Int, v.Text = i, strconv.FormatInt(i, 10)+"/"+unit
	case Percent:
		f, err := strconv.ParseFloat(strings.TrimSuffix(v.Text, "%"), 64)
		if err != nil || !strings.HasSuffix(v.Text, "%") || !(f > 0 && f <= 100) {
			return want
		}
	case Text:
		if strings.TrimSpace(v.Text) == "" {
			return want
		}
		if !utf8.ValidString(v.Text) || strings.IndexFunc(v.Text, unicode.IsControl) >= 0 {
			return "want printable text on one line"
		}
	}
	return ""
}

func (k *Key) parseDuration(v *Value, want string) string {
	d, err := time.ParseDuration(v.Text)
	if err != nil {
		if n, err := strconv.Atoi(v.Text); err == nil {
			return fmt.Sprintf("the unit is missing; write %ds, %dm or %dh", n, n, n)
		}
		if n, err := strconv.Atoi(strings.TrimSuffix(v.Text, "d")); err == nil {
			return fmt.Sprintf("the largest unit is h; write %dh", 24*n)
		}
		return want
	}
	if d < time.Duration(k.Min) || d > time.Duration(k.Max) {
		return fmt.Sprintf("want at least %v and at most %v", time.Duration(k.Min), time.Duration(k.Max))
	}
	v.Duration, v.Text = d, d.String()
	return ""
}

func (k *Key) parseField(v *Value, of int, want string) string {
	words := k.Values
	if k.Bare {
		words = append([]string{"true", "false"}, words...)
	}
	for _, w := range words {
		if v.Text == w {
			if of > 1 {
				return "it can't stand beside fields"
			}
			return ""
		}
	}
	for _, part := range strings.Split(v.Text, ".") {
		if !token.IsIdentifier(part) {
			return want
		}
		if !token.IsExported(part) {
			return "want the Go name of an exported field, such as InvoiceID, not its JSON name"
		}
	}
	return ""
}

// checkWord returns what is wrong with a name, or "".
func checkWord(w string, slash bool) string {
	if w == "" || len(w) > 128 {
		return "want 1 to 128 letters"
	}
	for i, r := range w {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("._-", r)) && !(slash && r == '/' && i > 0) {
			return "want letters, digits and, after the first, any of . _ -"
		}
	}
	return ""
}
