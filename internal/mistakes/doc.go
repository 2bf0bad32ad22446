// Package mistakes holds no code: its test holds docs/mistakes.md against the
// tests that the table names, here and in bench/mistakes, so that a row can't
// outlive what proves it.
package mistakes
