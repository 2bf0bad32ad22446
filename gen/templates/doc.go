// Package templates writes the Go files that jobgen generates, from a model and nothing else.
//
// [Render] is a pure function: the same model gives the same bytes. One file of this package emits one artefact:
// client.go the client package's base, stubs.go a handler package's descriptors and stubs, codec.go with encode.go and
// decode.go the codecs, registry.go the worker package, checks.go what makes stale code fail to compile.
package templates
