package load

import "bytes"

// blankBodies returns a copy of a gofmt-formatted file with the insides of
// top-level function bodies replaced by spaces, so that syntax errors and
// conflict markers in there do not matter. Every other byte keeps its place.
//
// It goes by lines: a declaration begins with "func " in the first column, its
// signature ends with a "{" at the end of a line outside parentheses, and its
// body with the next "}" in the first column.
func blankBodies(data []byte) []byte {
	out := bytes.Clone(data)
	depth := 0
	inSignature, inBody := false, false
	for start := 0; start < len(out); {
		end := start + bytes.IndexByte(out[start:], '\n')
		if end < start {
			end = len(out)
		}
		line := bytes.TrimRight(out[start:end], " \t\r")
		if inBody && len(line) > 0 && line[0] == '}' {
			inBody = false
		}
		if inBody {
			for i := range line {
				line[i] = ' '
			}
		}
		if bytes.HasPrefix(line, []byte("func ")) {
			inSignature, depth = true, 0
		}
		if inSignature {
			depth += bytes.Count(line, []byte("(")) - bytes.Count(line, []byte(")"))
			if depth <= 0 && len(line) > 0 {
				inSignature = false
				inBody = line[len(line)-1] == '{'
			}
		}
		start = end + 1
	}
	return out
}
