// Command jobctl shows and mends the jobs of a database: its backlog, one job with its attempts, the retry of dead
// jobs, and the migrations of its tables. Run jobctl help for its commands.
package main

import (
	"context"
	"os"
)

func main() { os.Exit(Do(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
