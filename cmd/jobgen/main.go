// Command jobgen generates typed clients, codecs and registries from //job:
// annotations. Run jobgen help for its commands, and jobgen explain for its
// settings and diagnostics.
package main

import (
	"context"
	"os"
)

func main() { os.Exit(Do(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
