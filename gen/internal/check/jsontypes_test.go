package check

import (
	"encoding/json"
	"net/netip"
	"time"
)

// The types of this file are read twice: by encoding/json through reflection,
// and by jobgen as source. Both must see the same fields.

type Plain struct {
	ID      int64
	Renamed string   `json:"renamed"`
	Skipped chan int `json:"-"`
	//lint:ignore SA5008 the odd tag is the point
	Dash  string    `json:"-,"`
	Empty []int     `json:"empty,omitempty"`
	Zero  time.Time `json:",omitzero"`
	Odd   string    `json:"a b/c"`
	Héllo string
}

type Base struct {
	ID   string
	Name string
}

type Deep struct {
	Base
	Level int
}

type Promoted struct {
	First string
	Base
	Last string
}

type Shadowed struct {
	Base
	Name int // wins over Base.Name
}

type Nested struct {
	Deep
	ID int // wins over Deep.Base.ID
}

type TagWins struct {
	A string `json:"X"`
	X string
}

type NamedEmbed struct {
	Base `json:"base"`
	Cents
}

type Cents int64

type Tagged struct {
	Name string `json:"N"`
}

type DepthWins struct {
	Tagged
	N int
}

type Kinds struct {
	B    bool
	I    int
	I8   int8
	U16  uint16
	F    float32
	S    string
	Raw  json.RawMessage
	By   []byte
	Arr  [3]byte
	T    time.Time
	D    time.Duration
	Addr netip.Addr
	P    *Base
	L    []Base
	M    map[string][]Base
	MI   map[Cents]bool
	MT   map[netip.Addr]int
	C    Cents
	An   struct{ Q int }
	Sl   []*int
}

var someTime = time.Unix(1, 0)

var jsonTypes = map[string]any{
	"Plain": Plain{}, "Promoted": Promoted{}, "Shadowed": Shadowed{}, "Nested": Nested{}, "TagWins": TagWins{},
	"NamedEmbed": NamedEmbed{}, "DepthWins": DepthWins{}, "Kinds": Kinds{},
}
