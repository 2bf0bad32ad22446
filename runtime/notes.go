package jobrt

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// maxLogLines and maxLogBytes bound the log of one attempt.
	maxLogLines = 1000
	maxLogBytes = 256 << 10
)

// notes are what one attempt has noted and the store does not have yet.
type notes struct {
	mu       sync.Mutex
	lines    []LogLine
	count    int   // of all lines of the attempt
	bytes    int   // of all lines of the attempt
	dropped  int   // lines beyond what is kept
	says     int64 // how often Progress was called
	progress *ProgressInfo
	sending  bool // what was taken is on its way
	ended    bool
}

// write adds a line, and reports whether there is something new to store.
func (n *notes) write(line LogLine) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	size := len(line.Message) + len(line.Attrs)
	switch {
	case n.ended:
		return false
	case n.count >= maxLogLines, n.bytes+size > maxLogBytes:
		n.dropped++
		return false
	}
	n.add(line)
	n.bytes += size
	return true
}

// add appends a line with the next number. n.mu is held.
func (n *notes) add(line LogLine) {
	n.count++
	line.Seq = n.count
	n.lines = append(n.lines, line)
}

// say replaces the progress, and reports whether there is something new to store.
func (n *notes) say(p ProgressInfo) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ended {
		return false
	}
	n.says++
	p.Seq = n.says
	n.progress = &p
	return true
}

// take removes what is there and returns it; false when that is nothing.
func (n *notes) take(ref Ref) (Note, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	note := Note{Ref: ref, Lines: n.lines, Progress: n.progress}
	n.lines, n.progress = nil, nil
	n.sending = len(note.Lines) > 0 || note.Progress != nil
	return note, n.sending
}

// sent tells that what was taken is stored, or given up.
func (n *notes) sent() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sending = false
}

// putBack gives back what was taken and could not be stored.
func (n *notes) putBack(note Note) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sending = false
	n.lines = append(note.Lines, n.lines...)
	if n.progress == nil {
		n.progress = note.Progress
	}
}

// end lets nothing more be noted. It reports whether anything has been, and whether something of that is not stored yet.
func (n *notes) end(ref Ref, attempt int) (some, open bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = true
	if n.dropped > 0 {
		n.add(LogLine{
			LogPlace: LogPlace{LeaseSeq: ref.LeaseSeq}, Attempt: attempt, At: time.Now(), Level: slog.LevelWarn,
			Message: fmt.Sprintf("%d lines dropped: the log of an attempt holds %d lines and %d KiB", n.dropped, maxLogLines, maxLogBytes>>10),
		})
	}
	return n.count > 0 || n.says > 0, len(n.lines) > 0 || n.progress != nil || n.sending
}
