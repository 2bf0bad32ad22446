package bunstore

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// What a batch is sent as: one JSON text that json_each takes apart, so that a batch costs one statement whatever its
// size.

// maxBatchText bounds one such text; a bigger batch goes in several, in the same transaction.
const maxBatchText = 8 << 20

// appendText appends s as a JSON string. s is UTF-8.
func appendText[T string | []byte](b []byte, s T) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		if c == '"' || c == '\\' {
			b = append(b, '\\', c)
			continue
		}
		b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
	}
	return append(append(b, s[from:]...), '"')
}

// appendOptional appends s as a JSON string, or null when it is empty.
func appendOptional[T string | []byte](b []byte, s T) []byte {
	if len(s) == 0 {
		return append(b, "null"...)
	}
	return appendText(b, s)
}

// appendID appends an id as a JSON string.
func appendID(b []byte, id jobrt.ID) []byte {
	var t [38]byte
	t[0], t[9], t[14], t[19], t[24], t[37] = '"', '-', '-', '-', '-', '"'
	hex.Encode(t[1:9], id[0:4])
	hex.Encode(t[10:14], id[4:6])
	hex.Encode(t[15:19], id[6:8])
	hex.Encode(t[20:24], id[8:10])
	hex.Encode(t[25:37], id[10:])
	return append(b, t[:]...)
}

// appendOptionalID appends an id as a JSON string, or null when it is zero.
func appendOptionalID(b []byte, id jobrt.ID) []byte {
	if id.IsZero() {
		return append(b, "null"...)
	}
	return appendID(b, id)
}

// optionalIDArg is the argument of a statement for an id, NULL when it is zero.
func optionalIDArg(id jobrt.ID) any {
	if id.IsZero() {
		return nil
	}
	return id.String()
}

// idsText is a JSON array of ids.
func idsText(ids []jobrt.ID) string {
	b := []byte{'['}
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendID(b, id)
	}
	return string(append(b, ']'))
}

// refsText is a JSON object from ids to lease_seqs; the same id may occur twice, which json_each allows.
func refsText[T any](claims []T, ref func(*T) jobrt.Ref) string {
	b := []byte{'{'}
	for i := range claims {
		if i > 0 {
			b = append(b, ',')
		}
		r := ref(&claims[i])
		b = append(appendID(b, r.ID), ':')
		b = strconv.AppendInt(b, r.LeaseSeq, 10)
	}
	return string(append(b, '}'))
}

// seqsText is a JSON array of row numbers.
func seqsText(seqs []int64) string {
	b := []byte{'['}
	for i, n := range seqs {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return string(append(b, ']'))
}

// listText is a JSON array of strings.
func listText(list []string) string {
	b := []byte{'['}
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, s)
	}
	return string(append(b, ']'))
}

// encoded is the JSON of a value of our own, nil for an empty list.
func encoded[T any](list []T) (any, error) {
	if len(list) == 0 {
		return nil, nil
	}
	data, err := json.Marshal(list)
	return string(data), err
}

// storable reports whether SQLite keeps s as text that can be read back: it does not look itself.
func storable[T string | []byte](s T) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == 0 {
			return false
		}
	}
	return utf8.ValidString(string(s))
}
