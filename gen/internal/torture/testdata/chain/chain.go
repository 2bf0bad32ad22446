// Package chain has a handler for every way to take outcomes of other jobs.
package chain

import (
	"context"
	"errors"

	"github.com/jobgen/jobgen/gen/internal/torture/testdata/kinds"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// Log notes what handlers were given.
type Log struct {
	Lines  []kinds.Line
	Money  []kinds.Money
	Failed []jobrt.Failure
	Ends   []jobrt.Outcome[kinds.Line]
	Nones  []jobrt.Outcome[jobrt.None]
	Order  []string

	Parcels  []int64
	Verified bool
}

func (l *Log) add(what string) { l.Order = append(l.Order, what) }

// ErrNo is what Fetch fails with.
var ErrNo = errors.New("no such line")

// Fetch returns a line; one with a negative quantity fails.
//
//job:retry=0
func (l *Log) Fetch(_ context.Context, a kinds.Fetch) (kinds.Line, error) {
	l.add("Fetch")
	if a.Qty < 0 {
		return kinds.Line{}, jobrt.Permanent(ErrNo)
	}
	return kinds.Line{SKU: a.SKU, Qty: a.Qty}, nil
}

// Pay has a result with a form of its own, and no arguments.
//
//job:handler
func (l *Log) Pay(context.Context) (kinds.Money, error) {
	l.add("Pay")
	return kinds.Money{Cents: 5, Currency: "EUR"}, nil
}

// Print takes what Fetch returns as its arguments.
//
//job:handler
func (l *Log) Print(_ context.Context, line kinds.Line) error {
	l.add("Print")
	l.Lines = append(l.Lines, line)
	return nil
}

// Store takes one result.
//
//job:handler
func (l *Log) Store(_ context.Context, a kinds.Fetch, line kinds.Line) error {
	l.add("Store " + a.SKU)
	l.Lines = append(l.Lines, line)
	return nil
}

// Both takes results of two types under names that generated code needs itself.
//
//job:handler
func (l *Log) Both(_ context.Context, _ jobrt.None, jobrt kinds.Line, opts kinds.Money) (kinds.Line, error) {
	l.add("Both")
	l.Lines = append(l.Lines, jobrt)
	l.Money = append(l.Money, opts)
	return kinds.Line{SKU: jobrt.SKU + opts.Currency}, nil
}

// All takes results of several jobs of one type.
//
//job:handler
func (l *Log) All(_ context.Context, in []kinds.Line) error {
	l.add("All")
	l.Lines = append(l.Lines, in...)
	return nil
}

// Sum takes one result and several of another job.
//
//job:handler
func (l *Log) Sum(_ context.Context, a kinds.Fetch, total kinds.Money, err []kinds.Line) error {
	l.add("Sum " + a.SKU)
	l.Money = append(l.Money, total)
	l.Lines = append(l.Lines, err...)
	return nil
}

// End runs whatever became of its parent.
//
//job:handler
func (l *Log) End(_ context.Context, _ kinds.Fetch, _ jobrt.Outcome[kinds.Line]) error {
	l.add("End")
	return nil
}

// EndAll lists what became of its parents, and waits for one without a result too.
//
//job:handler
func (l *Log) EndAll(_ context.Context, lines []jobrt.Outcome[kinds.Line], done jobrt.Outcome[jobrt.None]) error {
	l.add("EndAll")
	l.Ends = append(l.Ends, lines...)
	l.Nones = append(l.Nones, done)
	return nil
}

// Mourn runs after a failure.
//
//job:handler
func (l *Log) Mourn(_ context.Context, a kinds.Fetch, failed jobrt.Failure) error {
	l.add("Mourn " + a.SKU)
	l.Failed = append(l.Failed, failed)
	return nil
}

// Cry runs after a failure, and is a function without a receiver or arguments.
//
//job:handler
func Cry(context.Context, jobrt.Failure) error { return nil }
