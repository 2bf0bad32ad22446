package model

// Module is one Go module's jobs: the whole input of the templates.
type Module struct {
	Path    string // module path, such as "example.com/shop"
	Service string // first part of every job's stored name; -service or the last element of Path without a /vN suffix

	OutPath   string // import path of the generated client package, such as "example.com/shop/gen"
	OutName   string // its package name, the last element of the output directory made into an identifier
	WorkerDir string // directory of the registry package below OutPath; always "worker"

	Packages []*Package // packages that declare handlers, by import path
	Jobs     []*Job     // by Name
	Loops    []*Loop    // by Name
	Queues   []*Queue   // declared with //jobqueue:, by Name
	Deps     []*Dep     // receiver types of method handlers, by Field

	// Types holds every distinct struct that arguments and results are made
	// of and that is stored field by field (Kind Struct, named), by ID. A type
	// comes up once, however many jobs use it: one codec each.
	Types []*Type

	// Imports names every package that a Go name anywhere in the model
	// mentions, by path. The standard library is included.
	Imports []Import
}

// Import is the real name of a package, which need not be the last element of
// its path.
type Import struct {
	Path, Name string
}

// Package is one package that declares handlers.
type Package struct {
	Path string // import path
	Name string
	Stem string // unique, stable base for file names: "billing", or "shop_billing" when two packages share a name
	Jobs []*Job // by Name
}

// Queue is a queue declared with //jobqueue:name.
type Queue struct {
	Name     string
	Workers  int       // slots of a pool that serves its registry's queues; 0: not declared
	Declared []Setting // every key as written, by Key
	Pos      Pos
}

// Dep is one receiver type of method handlers and loops: one field of worker.Deps. The
// field's type is always a pointer to the named type, also when every handler
// has a value receiver, so that a missing one shows as nil.
type Dep struct {
	Field string // exported identifier, package name + type name: "BillingService"
	Type  Name
}

// Name is a package-level Go identifier.
type Name struct {
	Path string // import path; "" for predeclared names
	Pkg  string // package name
	Name string
}

// String returns the name as a Go file would spell it: billing.Service.
func (n Name) String() string {
	if n.Pkg == "" {
		return n.Name
	}
	return n.Pkg + "." + n.Name
}

// Pos is a place in a source file.
type Pos struct {
	File   string // absolute path in the operating system's form; never emitted
	Offset int    // bytes from the start of the file
	Line   int    // from 1
	Column int    // bytes, from 1
}

// IsValid reports whether p is a place.
func (p Pos) IsValid() bool { return p.Line > 0 }
