// Package comparison holds no code: its test holds docs/comparison.md against
// the tests, examples and scripts that the page names in jobgen's cells, so that
// nothing is said of jobgen that nothing shows.
package comparison
