package chain

import (
	"context"

	"github.com/jobgen/jobgen/gen/internal/torture/testdata/kinds"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// Ordered is followed by every form of continuation.
//
//job:retry=1 then=Label,Log.Ticket,Print,Copy,billing.Service.CloseMonth once=ID,Buyer.Name,Kind verify=WasOrdered
func (l *Log) Ordered(_ context.Context, a kinds.Order) (kinds.Line, error) {
	l.add("Ordered")
	if l.Verified {
		return kinds.Line{}, jobrt.InDoubt(ErrNo)
	}
	return kinds.Line{SKU: "order", Qty: int32(a.ID)}, nil
}

// WasOrdered has a result to tell.
func (l *Log) WasOrdered(_ context.Context, a kinds.Order) (kinds.Line, bool, error) {
	return kinds.Line{SKU: "verified", Qty: int32(a.ID)}, l.Verified, nil
}

// Label takes the result beside the same arguments.
//
//job:handler
func (l *Log) Label(_ context.Context, a kinds.Order, line kinds.Line) error {
	l.add("Label " + a.Address)
	l.Lines = append(l.Lines, line)
	return nil
}

// Ticket takes the result alone.
//
//job:handler
func (l *Log) Ticket(_ context.Context, _ jobrt.None, line kinds.Line) error {
	l.add("Ticket")
	l.Lines = append(l.Lines, line)
	return nil
}

// Copy takes the same arguments.
//
//job:handler unique=ID
func (l *Log) Copy(_ context.Context, a kinds.Order) error {
	l.add("Copy " + a.Address)
	return nil
}

// Refuse fails, and has no result to tell.
//
//job:retry=0 on-failure=Refund,Tell,Copy,Cry,Pay once=ID verify=WasRefused in-doubt=rerun on-exhausted=discard
func (l *Log) Refuse(context.Context, kinds.Order) error {
	l.add("Refuse")
	return jobrt.Permanent(ErrNo)
}

// WasRefused is a function.
func WasRefused(context.Context, kinds.Order) (bool, error) { return false, nil }

// Refund takes the failure beside the same arguments.
//
//job:once=self deprecated="use Tell"
func (l *Log) Refund(_ context.Context, a kinds.Order, failed jobrt.Failure) error {
	l.add("Refund " + a.Address)
	l.Failed = append(l.Failed, failed)
	return nil
}

// Tell takes the failure alone.
//
//job:handler
func (l *Log) Tell(_ context.Context, failed jobrt.Failure) error {
	l.add("Tell " + failed.Message)
	return nil
}

// Send reads three versions of its arguments.
//
//job:version=3
func (l *Log) Send(_ context.Context, a kinds.Ship) error {
	l.Parcels = append(l.Parcels, a.Parcels...)
	return nil
}

// UpgradeShipV2 stands beside the handler.
func UpgradeShipV2(old kinds.ShipV2) kinds.Ship { return kinds.Ship{Parcels: []int64{old.Parcel}} }

// Carry shares its arguments with Drop, and reads two versions of them.
//
//job:version=2
func Carry(context.Context, kinds.Move) error { return nil }

// Drop has seen the second version only.
//
//job:handler
func Drop(context.Context, kinds.Move) error { return nil }

// UpgradeMove has a result of the form that the registry wants.
func UpgradeMove(old kinds.MoveV1) (kinds.Move, error) {
	return kinds.Move{From: old.Path[0], To: old.Path[1]}, nil
}
