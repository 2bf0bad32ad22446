package kinds

import (
	otherkinds "github.com/jobgen/jobgen/gen/internal/torture/testdata/other/kinds"
)

// Line is a small struct.
type Line struct {
	SKU string `json:"sku"`
	Qty int32  `json:"qty"`
}

// Page is generic.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// Lines is a generic type by a name of its own.
type Lines struct {
	Page Page[Line] `json:"page"`
}

// Nested has containers within containers.
type Nested struct {
	Lines     []Line                     `json:"lines"`
	Other     otherkinds.Line            `json:"other"`
	ByName    map[string]Line            `json:"by_name"`
	ByLabel   map[Label]*Line            `json:"by_label"`
	ByInt     map[int8][]int             `json:"by_int"`
	ByUint    map[uint16]map[string]bool `json:"by_uint"`
	ByColor   map[Color]float64          `json:"by_color"`
	Pointer   *Line                      `json:"pointer"`
	Deep      [][]map[string]*[]Line     `json:"deep"`
	Array     [3]Line                    `json:"array"`
	Fixed     [4]byte                    `json:"fixed"`
	Strings   *[]string                  `json:"strings"`
	Matrix    [2][2]*float64             `json:"matrix"`
	Map       *map[string][]byte         `json:"map"`
	Page      Page[Line]                 `json:"page"`
	Pages     []Page[string]             `json:"pages"`
	Anonymous struct {
		X int `json:"x"`
		Y []struct {
			Z string `json:"z"`
		} `json:"y"`
	} `json:"anonymous"`
}

// Base is embedded.
type Base struct {
	ID   int64  `json:"id"`
	Note string `json:"note,omitempty"`
}

// Inner is embedded by what is embedded.
type Inner struct {
	Depth int `json:"depth"`
	// ID is hidden by Base's, which is less deep.
	ID string `json:"id"`
}

// Middle embeds.
type Middle struct {
	Inner
	Side string `json:"side"`
}

// Embedded promotes fields.
type Embedded struct {
	Base
	Middle
	Label // not a struct: a field named Label
	Line  `json:"line"`
	Own   string `json:"own"`
	// Note hides Base's.
	Note string `json:"note"`
}

// Empty has no fields.
type Empty struct{}

// Hidden has a field that no other package can write down.
type Hidden struct {
	Visible int `json:"visible"`
	hidden  int `json:"-"`
}

// Touch uses the hidden field.
func (h *Hidden) Touch() { h.hidden++ }

// Fetch asks for a line.
type Fetch struct {
	SKU string `json:"sku"`
	Qty int32  `json:"qty"`
}
