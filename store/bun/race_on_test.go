//go:build race

package bunstore

// raceDetector says that SQLite, which is C turned into Go, runs some ten times slower.
const raceDetector = true
