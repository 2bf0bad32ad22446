package load

import (
	"fmt"
	"path/filepath"
	"strings"
)

// matcher returns a function that says whether patterns select the package in
// a directory.
func matcher(dir, root, module string, patterns []string) (func(string) bool, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	type selection struct {
		dir  string
		tree bool
	}
	var sels []selection
	for _, p := range patterns {
		base, tree := strings.CutSuffix(p, "...")
		base = strings.TrimSuffix(base, "/")
		switch {
		case base == "" && tree, base == "all":
			sels = append(sels, selection{root, true})
			continue
		case base == "." || base == ".." || strings.HasPrefix(base, "./") || strings.HasPrefix(base, "../"):
			base = filepath.Join(abs, filepath.FromSlash(base))
		case filepath.IsAbs(base):
		case base == module || strings.HasPrefix(base, module+"/"):
			base = filepath.Join(root, filepath.FromSlash(strings.TrimPrefix(base, module)))
		default:
			return nil, fmt.Errorf("package pattern %q: not in module %s; directories start with ./", p, module)
		}
		if rel, err := filepath.Rel(root, base); err != nil || !filepath.IsLocal(rel) {
			return nil, fmt.Errorf("package pattern %q: outside the module in %s", p, root)
		}
		sels = append(sels, selection{filepath.Clean(base), tree})
	}
	return func(dir string) bool {
		for _, s := range sels {
			if dir == s.dir || s.tree && strings.HasPrefix(dir, strings.TrimSuffix(s.dir, string(filepath.Separator))+string(filepath.Separator)) {
				return true
			}
		}
		return false
	}, nil
}

// scope returns a function that says whether a directory's annotations
// concern a run: it is selected, below dir, or above it.
func scope(dir string, selected func(string) bool) (func(string) bool, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	within := func(base, dir string) bool {
		rel, err := filepath.Rel(base, dir)
		return err == nil && filepath.IsLocal(rel)
	}
	return func(d string) bool { return selected(d) || within(abs, d) || within(d, abs) }, nil
}
