package templates_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestStaleCodeDoesNotCompile changes what generated code was made from, and holds the compiler's messages against what
// a reader needs: the name of what changed, and what to do.
func TestStaleCodeDoesNotCompile(t *testing.T) {
	for _, tt := range []struct {
		name    string
		file    string // relative to the repository's root
		replace []string
		build   string
		want    []string
	}{
		{
			name: "a field's type, tag or name",
			file: "gen/internal/torture/testdata/kinds/nested.go",
			replace: []string{
				"Qty int32  `json:\"qty\"`", "Qty int64  `json:\"qty\"`",
				"Side string `json:\"side\"`", "Side string `json:\"page\"`",
				"Next  string `json:\"next,omitempty\"`", "Next  string `json:\"next,omitempty\"`; More int",
				"Visible int `json:\"visible\"`", "Visible int8 `json:\"visible\"`",
			},
			build: "./gen/internal/torture/testdata/gen",
			want: []string{
				"as testdatakindsLineChangedRunGoGenerate value", "as testdatakindsMiddleChangedRunGoGenerate value",
				"as testdatakindsPageTestdatakindsLineChangedRunGoGenerate value", "as *testdatakindsHiddenVisibleChangedRunGoGenerate value",
			},
		},
		{
			name: "a handler's signature",
			file: "gen/internal/torture/testdata/billing/billing.go",
			replace: []string{
				"func (s *Service) CloseMonth(context.Context) error { return nil }",
				"func (s *Service) CloseMonth(context.Context, kinds.Empty) error { return nil }",
				"func Words(context.Context, kinds.Words) (kinds.Empty, error) { return kinds.Empty{}, nil }",
				"func Words(context.Context, kinds.Words) error { return nil }",
				"func (c Clock) Tick(", "func (c *Clock) Tick(",
			},
			build: "./gen/internal/torture/testdata/gen/worker",
			want: []string{
				"as closeMonthChangedRunGoGenerate value", "as wordsChangedRunGoGenerate value", "billing.Clock.Tick",
			},
		},
		{
			name: "a handler's parents",
			file: "gen/internal/torture/testdata/chain/chain.go",
			replace: []string{
				"func (l *Log) End(_ context.Context, _ kinds.Fetch, _ jobrt.Outcome[kinds.Line]) error {",
				"func (l *Log) End(_ context.Context, _ kinds.Fetch, _ kinds.Line) error {",
				"func (l *Log) Pay(context.Context) (kinds.Money, error) {\n\tl.add(\"Pay\")\n\treturn kinds.Money{Cents: 5, Currency: \"EUR\"}, nil",
				"func (l *Log) Pay(context.Context) error {\n\tl.add(\"Pay\")\n\treturn nil",
				"func (l *Log) All(_ context.Context, in []kinds.Line) error {", "func (l *Log) All(_ context.Context, in ...kinds.Line) error {",
			},
			build: "./gen/internal/torture/testdata/gen/worker",
			want: []string{
				"as endChangedRunGoGenerate value", "as payChangedRunGoGenerate value", "as allChangedRunGoGenerate value",
			},
		},
		{
			name:    "a runtime that is too new",
			file:    "runtime/codegen.go",
			replace: []string{"MinCodegen = 1", "MinCodegen = 5", "MaxCodegen = 4", "MaxCodegen = 5"},
			build:   "./gen/internal/torture/testdata/gen",
			want:    []string{"overflows jobrt.GeneratedCodeIsTooOldRunGoGenerate"},
		},
		{
			name:    "a runtime that is too old",
			file:    "runtime/codegen.go",
			replace: []string{"MaxCodegen = 4", "MaxCodegen = 3"},
			build:   "./gen/internal/torture/testdata/gen",
			want:    []string{"overflows jobrt.GeneratedCodeIsTooNewUpgradeJobgenModule"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := buildChanged(t, tt.file, tt.replace, tt.build)
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in the compiler's output:\n%s", want, out)
				}
			}
		})
	}
}

// buildChanged compiles a package as if a file said something else, and returns the compiler's complaint.
func buildChanged(t *testing.T, file string, replace []string, pkg string) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(root, filepath.FromSlash(file))
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := string(src)
	for i := 0; i < len(replace); i += 2 {
		next := strings.Replace(changed, replace[i], replace[i+1], 1)
		if next == changed {
			t.Fatalf("%s does not hold %q", file, replace[i])
		}
		changed = next
	}
	dir := t.TempDir()
	copied := filepath.Join(dir, filepath.Base(file))
	if err := os.WriteFile(copied, []byte(changed), 0o666); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{file: copied}})
	if err != nil {
		t.Fatal(err)
	}
	overlayFile := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-gcflags=-e", "-overlay", overlayFile, pkg)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatal("it compiled")
	}
	return string(out)
}

func TestGeneratedCodePassesVet(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "vet", "./gen", "./gen/worker", "./billing", "./chain", "./client")
	cmd.Dir = tortureDir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
