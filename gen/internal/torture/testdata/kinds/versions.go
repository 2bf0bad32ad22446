package kinds

import (
	"errors"
	"strconv"
)

// Order is what several continuations take.
type Order struct {
	ID      int64   `json:"id"`
	Buyer   *Buyer  `json:"buyer"`
	Address string  `json:"address" job:"secret"`
	Kind    Color   `json:"kind"`
	Weight  float64 `json:"weight"`
}

// Buyer is part of a key.
type Buyer struct {
	Name string `json:"name"`
}

// Ship is in its third version.
type Ship struct {
	Parcels []int64 `json:"parcels"`
}

// ShipV2 is the second version.
type ShipV2 struct {
	Parcel int64 `json:"parcel"`
}

// ShipV1 is the first version.
type ShipV1 struct {
	Parcel string `json:"parcel"`
	Key    string `json:"key" job:"secret"`
}

// UpgradeShipV1 stands beside the types and may fail.
func UpgradeShipV1(old ShipV1) (ShipV2, error) {
	n, err := strconv.ParseInt(old.Parcel, 10, 64)
	if err != nil {
		return ShipV2{}, errors.New("parcel is no number")
	}
	return ShipV2{Parcel: n}, nil
}

// Move is in its second version.
type Move struct {
	From, To string
}

// MoveV1 is the first version.
type MoveV1 struct {
	Path [2]string
}
