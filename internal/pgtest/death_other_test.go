//go:build !linux

package pgtest_test

const diesWithParent = false
