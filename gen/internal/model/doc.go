// Package model is what jobgen knows about a module after it has been read and
// checked: jobs, queues, argument types and settings, as plain data.
//
// The loader and the checker fill it, the templates read it. Nothing in here
// refers to go/types or to positions in a token.FileSet, so a model can be
// built by hand in a test.
//
// Every list is in a fixed order that does not depend on the order in which
// files were read, so rendering the same model twice gives the same bytes. A
// model that reaches the templates is valid: names are unique, every type can
// be stored, every Go name can be spelled from the output packages.
package model
