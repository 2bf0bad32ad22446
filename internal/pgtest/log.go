package pgtest

import (
	"os"
	"strings"
)

// tail returns the last n lines of the log that contain text.
func tail(path, text string, n int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	var kept []string
	for line := range strings.Lines(string(content)) {
		if strings.Contains(line, text) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept[max(0, len(kept)-n):], "")
}
