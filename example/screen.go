package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// screen is stderr: log lines, and below them a progress bar. Where stderr is no terminal the bar becomes a line now and
// then. It is safe for concurrent use.
type screen struct {
	mu     sync.Mutex
	out    *os.File
	bar    *progressbar.ProgressBar // nil when there is none
	total  int
	done   int
	told   int
	toldAt time.Time
}

// tellEvery is the least time between two lines of progress.
const tellEvery = 2 * time.Second

func newScreen(out *os.File) *screen { return &screen{out: out} }

// begin shows that total jobs are to be done.
func (s *screen) begin(total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total, s.done, s.told, s.toldAt = total, 0, -1, time.Now()
	if !term.IsTerminal(int(s.out.Fd())) {
		return
	}
	s.bar = progressbar.NewOptions(total,
		progressbar.OptionSetWriter(s.out),
		progressbar.OptionSetDescription("mailing"),
		progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(50*time.Millisecond),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░"}),
	)
	_ = s.bar.RenderBlank()
}

// left shows that so many jobs are not done yet.
func (s *screen) left(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = max(s.total-n, 0)
	switch {
	case s.bar != nil:
		_ = s.bar.Set(s.done)
	case s.done != s.told && (s.done == s.total || time.Since(s.toldAt) >= tellEvery):
		fmt.Fprintf(s.out, "%d of %d done\n", s.done, s.total)
		s.told, s.toldAt = s.done, time.Now()
	}
}

// end leaves the bar as it is and goes below it.
func (s *screen) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		_ = s.bar.Exit()
		fmt.Fprintln(s.out)
		s.bar = nil
	}
}

// println writes a line above the bar.
func (s *screen) println(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		_ = s.bar.Clear()
	}
	fmt.Fprintln(s.out, line)
	if s.bar != nil {
		_ = s.bar.RenderBlank()
	}
}
