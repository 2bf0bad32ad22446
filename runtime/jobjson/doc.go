// Package jobjson holds what generated codecs call to write and read JSON.
//
// The wire form is that of encoding/json, as an Encoder with SetEscapeHTML(false) writes it: field names, omitempty,
// omitzero, promoted fields, base64 for bytes, RFC 3339 for time.Time, nanoseconds for time.Duration, map keys sorted
// by their text. Equal values give equal bytes.
//
// Writing is stricter than encoding/json, because what is written has to come back from a database unchanged: a string
// that is not UTF-8, a NUL byte, NaN and the infinities are errors that name the field ([PathError]). So is an unpaired
// surrogate in what a MarshalJSON method returned, and two map keys with one text. A value whose MarshalJSON or
// MarshalText method has a pointer receiver is always written through it, map elements too.
//
// Append functions follow the habit of strconv: they append to dst and return the longer slice. Those that write
// numbers, strings, bytes and times don't allocate beyond it.
package jobjson
