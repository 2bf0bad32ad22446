package jobjson

import (
	"math"
	"reflect"
)

// IsZeroFloat reports whether omitempty and omitzero leave v out; negative zero is kept.
func IsZeroFloat[T ~float32 | ~float64](v T) bool { return math.Float64bits(float64(v)) == 0 }

// IsZero reports whether omitzero leaves *v out: whether it is its type's zero value, negative zeros in it not counting
// as zero.
func IsZero[T any](v *T) bool { return reflect.ValueOf(v).Elem().IsZero() }
