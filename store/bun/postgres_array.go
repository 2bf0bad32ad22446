package bunstore

import (
	"strconv"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// column builds one array literal, which travels as one text parameter: {"a","b",NULL}. A statement then has as many
// parameters as columns, whatever the size of the batch, and one text.
type column struct{ b []byte }

func newColumn(rows, size int) *column {
	return &column{b: append(make([]byte, 0, 2+rows*(size+1)), '{')}
}

func (c *column) next() {
	if len(c.b) > 1 {
		c.b = append(c.b, ',')
	}
}

func (c *column) null() {
	c.next()
	c.b = append(c.b, "NULL"...)
}

func (c *column) int(v int64) {
	c.next()
	c.b = strconv.AppendInt(c.b, v, 10)
}

func (c *column) bool(v bool) {
	c.next()
	if v {
		c.b = append(c.b, 't')
	} else {
		c.b = append(c.b, 'f')
	}
}

const hexDigits = "0123456789abcdef"

// id writes 32 digits, which PostgreSQL reads as well as the form with hyphens.
func (c *column) id(id jobrt.ID) {
	c.next()
	for _, b := range id {
		c.b = append(c.b, hexDigits[b>>4], hexDigits[b&15])
	}
}

// idOrNull writes NULL for the zero id.
func (c *column) idOrNull(id jobrt.ID) {
	if id.IsZero() {
		c.null()
		return
	}
	c.id(id)
}

// time writes NULL for the zero time.
func (c *column) time(t time.Time) {
	if t.IsZero() {
		c.null()
		return
	}
	c.next()
	c.b = append(c.b, '"')
	c.b = t.UTC().AppendFormat(c.b, "2006-01-02 15:04:05.999999Z07:00")
	c.b = append(c.b, '"')
}

// hex writes bytes as bytea, NULL for nil.
func (c *column) hex(data []byte) {
	if data == nil {
		c.null()
		return
	}
	c.next()
	c.b = append(c.b, `"\\x`...)
	for _, b := range data {
		c.b = append(c.b, hexDigits[b>>4], hexDigits[b&15])
	}
	c.b = append(c.b, '"')
}

func (c *column) text(s string) { quoted(c, s) }

// textOrNull writes text, NULL for the empty one.
func (c *column) textOrNull(s string) {
	if s == "" {
		c.null()
		return
	}
	quoted(c, s)
}

// json writes text, NULL for nil.
func (c *column) json(data []byte) {
	if data == nil {
		c.null()
		return
	}
	quoted(c, data)
}

func quoted[T string | []byte](c *column, s T) {
	c.next()
	c.b = append(c.b, '"')
	from := 0
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			c.b = append(c.b, s[from:i]...)
			c.b = append(c.b, '\\')
			from = i
		}
	}
	c.b = append(c.b, s[from:]...)
	c.b = append(c.b, '"')
}

// value returns the literal. The column is not used after it.
func (c *column) value() string { return string(append(c.b, '}')) }

// idArray is the literal of ids.
func idArray(ids []jobrt.ID) string {
	c := newColumn(len(ids), 32)
	for _, id := range ids {
		c.id(id)
	}
	return c.value()
}

// textArray is the literal of texts.
func textArray(texts []string) string {
	c := newColumn(len(texts), 32)
	for _, t := range texts {
		c.text(t)
	}
	return c.value()
}

// refArrays are the literals of ids and lease_seqs.
func refArrays(refs []jobrt.Ref) (ids, seqs string) {
	i, s := newColumn(len(refs), 32), newColumn(len(refs), 4)
	for _, r := range refs {
		i.id(r.ID)
		s.int(r.LeaseSeq)
	}
	return i.value(), s.value()
}

// timeText is an instant as an argument.
func timeText(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.999999Z07:00") }
