// Command jobgen generates typed clients, codecs and registries from //job:
// annotations. Run jobgen help for its commands, and jobgen explain for its
// settings and diagnostics.
package main

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/jobgen/jobgen/gen/vet"
)

func main() {
	// A run lasts a second and lives on what it allocates: a quarter of its
	// time was collecting garbage that the end of the process collects anyway.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	program()
}

// program is main with the process as it is.
func program() {
	if calledByVet(os.Args[1:]) {
		vet.Main()
	}
	os.Exit(Do(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
