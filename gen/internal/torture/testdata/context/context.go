// Package err is called like a variable of generated code, in a directory called like a package that generated code
// imports.
package err

import str "github.com/jobgen/jobgen/gen/internal/torture/testdata/string"

// Context has a field that is called like its type.
type Context struct {
	Context string         `json:"context"`
	String  str.Stringer   `json:"string"`
	Dst     []str.Stringer `json:"dst,omitempty"`
}
