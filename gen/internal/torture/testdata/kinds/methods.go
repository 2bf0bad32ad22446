package kinds

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Money is written by its own MarshalJSON, as text with a currency.
type Money struct {
	Cents    int64
	Currency string
}

// MarshalJSON implements json.Marshaler. The space is there to be compacted away.
func (m Money) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "{ \"amount\": %d, \"currency\": %s }", m.Cents, strconv.QuoteToASCII(strings.ToValidUTF8(m.Currency, "?"))), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *Money) UnmarshalJSON(data []byte) error {
	var wire struct {
		Amount   int64
		Currency string
	}
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	m.Cents, m.Currency = wire.Amount, wire.Currency
	return nil
}

// Color is text on the wire and in map keys.
type Color uint16

// MarshalText implements encoding.TextMarshaler.
func (c Color) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "#%04x", uint16(c)), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Color) UnmarshalText(text []byte) error {
	if len(text) != 5 || text[0] != '#' {
		return errors.New("color: want # and four digits")
	}
	n, err := strconv.ParseUint(string(text[1:]), 16, 16)
	if err != nil {
		return fmt.Errorf("color: %w", err)
	}
	*c = Color(n)
	return nil
}

// Methods has fields that write themselves.
type Methods struct {
	Raw    json.RawMessage     `json:"raw"`
	Big    *big.Int            `json:"big"`
	BigVal big.Int             `json:"big_val"`
	Addr   netip.Addr          `json:"addr"`
	IP     net.IP              `json:"ip"`
	Money  Money               `json:"money"`
	Prices []Money             `json:"prices"`
	ByName map[string]Money    `json:"by_name"`
	Color  Color               `json:"color"`
	Colors []Color             `json:"colors"`
	ColorP *Color              `json:"color_p"`
	Pair   [2]*Color           `json:"pair"`
	Bigs   map[string]*big.Int `json:"bigs"`
	TimeP  *time.Time          `json:"time_p"`
	Times  []time.Time         `json:"times"`
}

// Words has names that need care.
type Words struct {
	Type     string `json:"type"`
	Func     int    `json:"func"`
	Dst      bool   `json:"dst"`
	Größe    int    `json:"größe"`
	Japanese string `json:"日本"`
	Dotted   int    `json:"a.b"`
	Amp      string `json:"a&b<c>"`
	Skipped  string `json:"-"`
	Err      string
}

// Private has fields that nobody may see.
type Private struct {
	Email string       `json:"email" job:"secret"`
	Cards []Card       `json:"cards"`
	Map   map[int]Card `json:"map"`
	Due   time.Time    `json:"due" job:"secret"`
	Open  string       `json:"open"`
}

// Card has a secret.
type Card struct {
	Number string `json:"number" job:"secret"`
	Brand  string `json:"brand"`
}

// Ledger has map elements whose MarshalJSON needs a pointer, which encoding/json does not call.
type Ledger struct {
	Sums map[Cents]big.Int `json:"sums"`
}
