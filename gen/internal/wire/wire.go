// Package wire flattens an argument or result type into the facts that matter
// to bytes already stored: JSON paths and wire kinds.
//
// Go names, packages, pointers to values that may be null and the order of
// fields are no part of it, or are marked so that a comparison can judge them.
package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// Schema returns the flattened schema of a type and its fingerprint. One line
// is a JSON path, a space and a wire kind:
//
//	.customer.id int64
//	.lines[].qty int?
//	.rates{string} float64
//
// "[]" stands for every element of a list, "[4]" for those of an array of that
// length, "{string}" for every value of an object with keys of that kind, and
// "?" after a kind for null being possible.
func Schema(t *model.Type) model.Schema {
	lines := flatten(nil, "", t, "")
	slices.Sort(lines)
	lines = slices.Compact(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return model.Schema{Fingerprint: hex.EncodeToString(sum[:8]), Lines: lines}
}

func flatten(lines []string, path string, t *model.Type, null string) []string {
	at := path
	if at == "" {
		at = "."
	}
	switch t.Kind {
	case model.Pointer:
		return flatten(lines, path, t.Elem, "?")
	case model.Slice:
		return flatten(lines, path+"[]", t.Elem, "")
	case model.Array:
		return flatten(lines, fmt.Sprintf("%s[%d]", path, t.Len), t.Elem, "")
	case model.Map:
		return flatten(lines, path+"{"+t.Key.Kind.String()+"}", t.Elem, "")
	case model.Struct:
		if len(t.Fields) == 0 || null != "" {
			lines = append(lines, at+" struct"+null)
		}
		for _, f := range t.Fields {
			lines = flatten(lines, path+"."+Quote(f.JSON), f.Type, "")
		}
		return lines
	}
	return append(lines, at+" "+t.Kind.String()+null)
}

// Quote returns a JSON name as it stands in paths: it keeps names that contain the signs of a path apart from paths.
func Quote(name string) string {
	if strings.ContainsAny(name, ".[]{} ?\"") {
		return fmt.Sprintf("%q", name)
	}
	return name
}
