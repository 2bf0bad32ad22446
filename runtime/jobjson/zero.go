package jobjson

import "reflect"

// IsZero reports whether omitzero leaves *v out: whether it is its type's zero value, as reflection sees it.
func IsZero[T any](v *T) bool { return reflect.ValueOf(v).Elem().IsZero() }
