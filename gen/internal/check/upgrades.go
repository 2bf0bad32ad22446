package check

import (
	"fmt"
	"go/types"
	"slices"
	"strconv"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/load"
	"github.com/jobgen/jobgen/gen/internal/model"
	"github.com/jobgen/jobgen/gen/internal/wire"
)

// upgrades finds the functions that read the arguments of earlier versions, and
// reports those that are missing, wrong or of no use.
func (c *checker) upgrades() {
	newest := map[string]int{} // version by argument type, over the jobs that share it
	for _, h := range c.handlers {
		if h.job.Args != nil {
			newest[h.job.Args.ID] = max(newest[h.job.Args.ID], h.job.Settings.Version)
		}
	}
	told := map[*types.Func]bool{}
	for _, h := range c.handlers {
		if h.args == nil {
			if h.settings.has("version") == jobLevel && h.job.Settings.Version > 1 {
				c.report("JG078", h.settings["version"].Pos, "version counts the versions of the arguments, and "+h.f.Decl.Name.Name+" takes none")
			}
			continue
		}
		c.upgradesOf(h, newest[h.job.Args.ID], told)
	}
}

// upgradesOf finds the upgrades of one job. told are functions that an earlier job has reported.
func (c *checker) upgradesOf(h *handler, newest int, told map[*types.Func]bool) {
	version := h.job.Settings.Version
	byVersion := map[int]*load.Function{}
	faulty := false
	for _, fn := range h.f.Upgrades() {
		if fn.Object == nil {
			faulty = true // reported as a type error
			continue
		}
		from, isUpgrade := upgradeFrom(fn.Object, h.args)
		n := upgradeNumber(fn, h.args, version)
		var wrong string
		switch {
		case !isUpgrade && (version < 2 || n < 1 || n >= version):
			continue // somebody's function of that name
		case !isUpgrade:
			if c.otherUpgrade(h, fn, n) {
				continue
			}
			wrong = "it does not take " + c.spell(h, h.args, n)
		case n == 0 && version > 2:
			wrong = "with version=" + strconv.Itoa(version) + " an upgrade's name says which version it reads"
			n = from
		case n != from && n != 0:
			wrong = fmt.Sprintf("it is called after version %d and reads version %d", n, from)
		case from >= newest:
			faulty = true
			if !told[fn.Object] {
				told[fn.Object] = true
				c.report("JG080", fn.Pos, fmt.Sprintf("%s upgrades nothing: the newest version of %s is %d; set version=%d at the job, or remove the function",
					fn.Name.Name, c.types.short(h.args), newest, from+1), diag.Note{Pos: h.f.Pos, Message: "job " + h.job.GoName()})
			}
			continue
		case from >= version:
			continue // of another job that shares the type
		}
		if wrong == "" {
			wrong = c.upgradeFault(h, fn, from)
		}
		if wrong != "" {
			faulty = true
			if !told[fn.Object] {
				told[fn.Object] = true
				c.report("JG079", fn.Pos, fn.Name.Name+" can't upgrade "+c.types.short(h.args)+": "+wrong+"; write "+c.upgradeLine(h, n),
					diag.Note{Pos: h.settings.pos("version", h.f.Pos), Message: "version of " + h.job.GoName()})
			}
			continue
		}
		if other := byVersion[from]; other != nil {
			faulty = true
			if !told[fn.Object] {
				told[fn.Object] = true
				c.report("JG079", fn.Pos, fmt.Sprintf("two functions upgrade version %d of %s; keep one of %s and %s", from, c.types.short(h.args), other.Name, fn.Name),
					diag.Note{Pos: other.Pos, Message: "the other is here"})
			}
			continue
		}
		byVersion[from] = fn
	}
	if faulty {
		return
	}
	for n := 1; n < version; n++ {
		fn := byVersion[n]
		if fn == nil {
			c.report("JG078", h.settings["version"].Pos, fmt.Sprintf("nothing reads version %d of %s, of which jobs may wait in the table; write %s",
				n, c.types.short(h.args), c.upgradeLine(h, n)),
				diag.Note{Message: c.spell(h, h.args, n) + " is " + h.args.Obj().Name() + " as it was in version " + strconv.Itoa(n)})
			continue
		}
		if u := c.upgrade(h, fn, n); u != nil {
			h.job.Upgrades = append(h.job.Upgrades, u)
		}
	}
}

// otherUpgrade reports whether another candidate reads version n, so that fn is merely called like an upgrade.
func (c *checker) otherUpgrade(h *handler, fn *load.Function, n int) bool {
	return slices.ContainsFunc(h.f.Upgrades(), func(other *load.Function) bool {
		if other == fn || other.Object == nil {
			return false
		}
		from, ok := upgradeFrom(other.Object, h.args)
		return ok && from == n
	})
}

// upgrade describes a function that has been found right, or returns nil when the type that it reads can't be stored.
func (c *checker) upgrade(h *handler, fn *load.Function, n int) *model.Upgrade {
	sig := fn.Object.Signature()
	old := types.Unalias(sig.Params().At(0).Type()).(*types.Named)
	u := &model.Upgrade{Version: n, To: h.job.Settings.Version, Func: fn.Name, Fails: sig.Results().Len() == 2}
	if !types.Identical(sig.Results().At(0).Type(), h.args) {
		u.To = n + 1
	}
	if u.Type = c.types.root(old, h.job, "version "+strconv.Itoa(n)+" of the argument"); u.Type == nil {
		return nil
	}
	u.Schema = wire.Schema(u.Type)
	c.everywhere(fn)
	c.imports[fn.Name.Path] = fn.Name.Pkg
	return u
}

// upgradeFrom returns the version that a function reads by its parameter, the type of the arguments with V and a number
// behind its name; ok is false when it has no such parameter.
func upgradeFrom(fn *types.Func, args *types.Named) (version int, ok bool) {
	in := fn.Signature().Params()
	if in.Len() == 0 {
		return 0, false
	}
	old, isNamedType := types.Unalias(in.At(0).Type()).(*types.Named)
	if !isNamedType {
		return 0, false
	}
	return versionName(old.Obj().Name(), args.Obj().Name())
}

// versionName reads the number of "NameV2".
func versionName(name, base string) (int, bool) {
	digits, ok := strings.CutPrefix(name, base+"V")
	if !ok || strings.HasPrefix(digits, "0") {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n > 0
}

// upgradeNumber returns the version that a function reads by its name: 1 for a name without a number when there is only
// that one, else 0.
func upgradeNumber(fn *load.Function, args *types.Named, version int) int {
	rest := strings.TrimPrefix(fn.Name.Name, "Upgrade")
	if n, ok := versionName(rest, args.Obj().Name()); ok {
		return n
	}
	if rest == args.Obj().Name() && version == 2 {
		return 1
	}
	return 0
}

// upgradeFault says what is wrong with an upgrade from version n, or "".
func (c *checker) upgradeFault(h *handler, fn *load.Function, n int) string {
	sig := fn.Object.Signature()
	in, out := sig.Params(), sig.Results()
	old := types.Unalias(in.At(0).Type()).(*types.Named)
	switch {
	case sig.TypeParams() != nil || old.TypeArgs().Len() > 0:
		return "it is generic"
	case in.Len() != 1 || sig.Variadic():
		return "it takes more than the old arguments"
	case !isStruct(old):
		return c.types.short(old) + " is no struct"
	case out.Len() == 0 || out.Len() > 2:
		return "it must return the new arguments, or those and an error"
	case out.Len() == 2 && !isError(out.At(1).Type()):
		return "its second result must be an error"
	}
	to := types.Unalias(out.At(0).Type())
	if types.Identical(to, h.args) {
		return ""
	}
	if named, ok := to.(*types.Named); ok && n+1 < h.job.Settings.Version && named.Obj().Pkg() == old.Obj().Pkg() {
		if v, ok := versionName(named.Obj().Name(), h.args.Obj().Name()); ok && v == n+1 {
			return ""
		}
	}
	return "it returns " + c.types.short(to)
}

// upgradeLine is the declaration that reads version n.
func (c *checker) upgradeLine(h *handler, n int) string {
	name := "Upgrade" + h.args.Obj().Name()
	if h.job.Settings.Version > 2 {
		name += "V" + strconv.Itoa(n)
	}
	to := c.spell(h, h.args, 0)
	if n+1 < h.job.Settings.Version {
		to = c.spell(h, h.args, n+1)
	}
	return "func " + name + "(old " + c.spell(h, h.args, n) + ") " + to
}

// spell writes a version of the argument type as the handler's package does; 0 is today's.
func (c *checker) spell(h *handler, args *types.Named, n int) string {
	name := types.TypeString(args, func(p *types.Package) string {
		if p == h.f.Object.Pkg() {
			return ""
		}
		return p.Name()
	})
	if n > 0 {
		name += "V" + strconv.Itoa(n)
	}
	return name
}
