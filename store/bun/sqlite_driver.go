//go:build !jobgen_nosqlite

package bunstore

import _ "modernc.org/sqlite" // SQLite in Go, without cgo; the build tag jobgen_nosqlite leaves it out
