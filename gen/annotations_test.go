package gen

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnnotationsPageHoldsTheSettingsThatTheParserKnows(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "annotations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "prints. -->")
	if !found || strings.TrimSpace(table) != strings.TrimSpace(SettingsTable()) {
		t.Error("docs/annotations.md is stale: replace its end by what `jobgen explain --markdown` prints")
	}
}
