// Command jobgen generates typed clients, codecs and registries from //job:
// annotations. Run jobgen help for its commands, and jobgen explain for its
// settings and diagnostics.
package main

import (
	"context"
	"os"
	"runtime/debug"
)

func main() {
	// A run lasts a second and lives on what it allocates: a quarter of its
	// time was collecting garbage that the end of the process collects anyway.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	os.Exit(Do(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
