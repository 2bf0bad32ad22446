package kinds

import (
	"encoding/json"
	"net"
	"net/netip"
	"time"
)

// Optional has omitempty on every kind, its first field included.
type Optional struct {
	Bool     bool            `json:"bool,omitempty"`
	Flag     Flag            `json:"flag,omitempty"`
	Int      int             `json:"int,omitempty"`
	Small    Small           `json:"small,omitempty"`
	Float32  float32         `json:"float32,omitempty"`
	Float64  float64         `json:"float64,omitempty"`
	String   string          `json:"string,omitempty"`
	Bytes    []byte          `json:"bytes,omitempty"`
	Slice    []string        `json:"slice,omitempty"`
	Map      map[string]int  `json:"map,omitempty"`
	Array    [2]int          `json:"array,omitempty"`
	None     [0]int          `json:"none,omitempty"`
	Pointer  *int            `json:"pointer,omitempty"`
	Struct   Line            `json:"struct,omitempty"`
	Raw      json.RawMessage `json:"raw,omitempty"`
	Duration time.Duration   `json:"duration,omitempty"`
	Addr     netip.Addr      `json:"addr,omitempty"`
	IP       net.IP          `json:"ip,omitempty"`
	Color    Color           `json:"color,omitempty"`
	Both     []int           `json:"both,omitempty,omitzero"`
}

// OmitZero has omitzero on every kind.
type OmitZero struct {
	Int     int            `json:"int,omitzero"`
	Float   float64        `json:"float,omitzero"`
	String  string         `json:"string,omitzero"`
	Slice   []string       `json:"slice,omitzero"`
	Map     map[string]int `json:"map,omitzero"`
	Array   [2]float64     `json:"array,omitzero"`
	Pointer *int           `json:"pointer,omitzero"`
	Struct  Line           `json:"struct,omitzero"`
	Time    time.Time      `json:"time,omitzero"`
	TimePtr *time.Time     `json:"time_ptr,omitzero"`
	Odd     Odd            `json:"odd,omitzero"`
	OddPtr  *Odd           `json:"odd_ptr,omitzero"`
	Even    Even           `json:"even,omitzero"`
	Addr    netip.Addr     `json:"addr,omitzero"`
	Both    Even           `json:"both,omitempty,omitzero"`
	Last    bool           `json:"last"`
}

// Odd says itself when it is zero.
type Odd struct {
	N int `json:"n"`
}

// IsZero reports whether N is even.
func (o Odd) IsZero() bool { return o.N%2 == 0 }

// Even says itself when it is zero, through a pointer.
type Even int

// IsZero reports whether e is odd.
func (e *Even) IsZero() bool { return *e%2 != 0 }

// Sparse may have nothing to write at all.
type Sparse struct {
	A *Sparser `json:"a,omitempty"`
	B string   `json:"b,omitempty"`
	C []Cents  `json:"c,omitzero"`
}

// Sparser is Sparse within Sparse.
type Sparser struct {
	D bool `json:"d,omitzero"`
}
