package jobjson

import (
	"math"
	"strconv"
)

type signed interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64
}

type unsigned interface {
	~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

// AppendBool appends true or false.
func AppendBool[T ~bool](dst []byte, v T) []byte { return strconv.AppendBool(dst, bool(v)) }

// AppendInt appends a signed integer; a time.Duration is its nanoseconds.
func AppendInt[T signed](dst []byte, v T) []byte { return strconv.AppendInt(dst, int64(v), 10) }

// AppendUint appends an unsigned integer.
func AppendUint[T unsigned](dst []byte, v T) []byte { return strconv.AppendUint(dst, uint64(v), 10) }

// AppendFloat64 appends v with as many digits as it takes to read it back. NaN and the infinities are ErrNotANumber.
func AppendFloat64[T ~float64](dst []byte, v T) ([]byte, error) {
	return appendFloat(dst, float64(v), 64)
}

// AppendFloat32 is AppendFloat64 for float32, with the digits that a float32 needs.
func AppendFloat32[T ~float32](dst []byte, v T) ([]byte, error) {
	return appendFloat(dst, float64(v), 32)
}

// appendFloat writes what encoding/json writes: the form of ECMAScript's Number.prototype.toString, which has an
// exponent below 1e-6 and from 1e21 on.
func appendFloat(dst []byte, v float64, bits int) ([]byte, error) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return dst, ErrNotANumber
	}
	low, high := 1e-6, 1e21
	abs := math.Abs(v)
	if bits == 32 {
		// The limits as a float32 rounds them.
		low, high = float64(float32(1e-6)), float64(float32(1e21))
	}
	if abs == 0 || low <= abs && abs < high {
		return strconv.AppendFloat(dst, v, 'f', -1, bits), nil
	}
	dst = strconv.AppendFloat(dst, v, 'e', -1, bits)
	// strconv gives exponents two digits at least: 1e-07 becomes 1e-7.
	if n := len(dst); n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst, nil
}
