package jobjson

import (
	"encoding"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Entry is one entry of a map, its key as text.
type Entry[V any] struct {
	Key   string
	Value V
}

// StringEntries returns m's entries in the order in which they are written: by key, bytewise.
func StringEntries[M ~map[K]V, K ~string, V any](m M) []Entry[V] {
	entries := make([]Entry[V], 0, len(m))
	for k, v := range m {
		entries = append(entries, Entry[V]{string(k), v})
	}
	sortEntries(entries)
	return entries
}

// IntEntries is StringEntries for signed integers as keys. They sort as text, like encoding/json's: "10" before "9".
func IntEntries[M ~map[K]V, K signed, V any](m M) []Entry[V] {
	entries := make([]Entry[V], 0, len(m))
	for k, v := range m {
		entries = append(entries, Entry[V]{strconv.FormatInt(int64(k), 10), v})
	}
	sortEntries(entries)
	return entries
}

// UintEntries is IntEntries for unsigned integers.
func UintEntries[M ~map[K]V, K unsigned, V any](m M) []Entry[V] {
	entries := make([]Entry[V], 0, len(m))
	for k, v := range m {
		entries = append(entries, Entry[V]{strconv.FormatUint(uint64(k), 10), v})
	}
	sortEntries(entries)
	return entries
}

// TextEntries is StringEntries for keys with a MarshalText method. Two keys with one text are ErrDuplicateKey: only one
// of them would come back.
func TextEntries[M ~map[K]V, K interface {
	comparable
	encoding.TextMarshaler
}, V any](m M) ([]Entry[V], error) {
	entries := make([]Entry[V], 0, len(m))
	for k, v := range m {
		text, err := k.MarshalText()
		if err != nil {
			return nil, fmt.Errorf("key %T: %w", k, err)
		}
		entries = append(entries, Entry[V]{string(text), v})
	}
	sortEntries(entries)
	for i := 1; i < len(entries); i++ {
		if entries[i].Key == entries[i-1].Key {
			return nil, fmt.Errorf("%w %q", ErrDuplicateKey, entries[i].Key)
		}
	}
	return entries, nil
}

func sortEntries[V any](entries []Entry[V]) {
	slices.SortFunc(entries, func(a, b Entry[V]) int { return strings.Compare(a.Key, b.Key) })
}
