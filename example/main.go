package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// What the process ends with.
const (
	exitOK          = 0
	exitFailed      = 1 // an error, or a reconciliation that doesn't add up
	exitUsage       = 2
	exitInterrupted = 130
)

func run(args []string, stdout io.Writer, stderr *os.File) int {
	o, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second ctrl-C ends the process at once

	screen := newScreen(stderr)
	slog.SetDefault(slog.New(newLog(screen, o.verbose)))

	balanced, err := bill(ctx, o, stdout, screen)
	switch {
	case errors.Is(err, errInterrupted):
		fmt.Fprintln(stderr, "example:", err)
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(stderr, "example:", err)
		return exitFailed
	case !balanced:
		return exitFailed
	}
	return exitOK
}
