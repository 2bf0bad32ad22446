// Package mistakes proves what docs/mistakes.md says of River and asynq: each
// test makes a mistake of that table with the peer's own code and holds what
// comes of it.
//
// A test has a subtest river and a subtest asynq where both can be misused,
// and the subtest of one where the other knows no such thing. Mistakes that a
// compiler sees are packages in testdata/compile: the go command must refuse
// them, with the words that stand beside them in a file want.txt. Whatever is
// in a _test.go file of this package compiles and passes go vet: that much is
// proved of a mistake by its being there.
//
// River works on a PostgreSQL of the test's own, asynq on an in-process Redis.
// The versions are those of bench/go.mod.
package mistakes
