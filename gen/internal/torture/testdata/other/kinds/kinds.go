// Package kinds shares its name with another package.
package kinds

// Line shares its name with another package's type.
type Line struct {
	Text string `json:"text"`
}
