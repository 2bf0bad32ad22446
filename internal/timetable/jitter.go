package timetable

import (
	"encoding/binary"
	"hash/fnv"
	"time"
)

// Jitter returns how much later than its tick a run starts: from zero up to, not
// including, most, and never up to the next tick. It depends only on its
// arguments, so that all processes agree, and spreads schedules of different
// names that are due at one instant.
func (t *Table) Jitter(name string, tick time.Time, most time.Duration) time.Duration {
	if next, ok := t.Next(tick); ok {
		most = min(most, next.Sub(tick))
	}
	if most <= 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(tick.UnixMicro())))
	// FNV leaves the upper bits of similar inputs alike; the finish of
	// MurmurHash3 mixes them.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return time.Duration(x % uint64(most)).Truncate(time.Microsecond)
}
