// Package archtest holds no code: its test asserts which packages may lead to
// which, so that a user's binary carries only what the user's program needs
// and a reader can trust the map of the folders.
package archtest
