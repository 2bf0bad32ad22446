// Package load reads a module's job annotations and the Go declarations that
// they depend on, and nothing else.
//
// Most generators ask go/packages for type information, which makes the go
// command compile every dependency and fails on a tree whose generated code is
// missing, stale or half merged. This loader never looks at a function body or
// at a file that jobgen wrote:
//
//  1. grep: walk the module and keep files with an annotation, or a near miss
//     of one, in a comment.
//  2. metadata: one packages.Load for the packages of those files that asks for
//     file names and imports only, so the go command compiles nothing.
//  3. collect: parse those packages and attach the annotations to functions.
//  4. demand: starting at the signatures of annotated functions, of those that
//     verify= names and of upgrades of arguments, follow names through
//     declarations, package by package, parsing on the way. Imports that no
//     demanded declaration mentions are never opened.
//  5. types: type-check the demanded declarations with bodies emptied.
//
// Consequence: it works on any tree whose annotated signatures parse.
package load
