//go:build !race

package bunstore

const raceDetector = false
