package directive

import (
	"fmt"
	"strings"
	"time"
)

// Explain describes every setting of that name, or returns "" when there is
// none.
func Explain(name string) string {
	var b strings.Builder
	for i := range keys {
		k := &keys[i]
		if k.Name != name {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s (%s): %s.\n\n", k.Name, k.Group, k.Help)
		fmt.Fprintf(&b, "  form     %s\n", k.form())
		if lim := k.limits(); lim != "" {
			fmt.Fprintf(&b, "  limits   %s\n", lim)
		}
		if k.Default != "" {
			fmt.Fprintf(&b, "  default  %s\n", k.Default)
		}
		fmt.Fprintf(&b, "  in       %s\n", strings.Join(k.lines(), ", "))
		fmt.Fprintf(&b, "  example  %s\n", k.exampleLine())
		if !k.Engine {
			b.WriteString("\nThis version checks the setting and keeps it in the catalogue; the runtime does not act on it yet.\n")
		}
	}
	return b.String()
}

// Markdown returns the table of all settings for the documentation.
func Markdown() string {
	var b strings.Builder
	group := ""
	for i := range keys {
		k := &keys[i]
		if k.Group != group {
			if group != "" {
				b.WriteByte('\n')
			}
			group = k.Group
			fmt.Fprintf(&b, "### %s\n\n| key | value | default | meaning |\n|---|---|---|---|\n", strings.ToUpper(group[:1])+group[1:])
		}
		help := k.Help
		if !k.Engine {
			help += " *(checked, not acted on yet)*"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Example, cell(k.form()), cell(k.Default), cell(help))
	}
	return b.String()
}

// Names lists the names of all settings once each, in the table's order.
func Names() []string {
	var ns []string
	seen := map[string]bool{}
	for _, n := range names(InJob | InDefaults | InQueue | InSchedule) {
		if !seen[n] {
			seen[n] = true
			ns = append(ns, n)
		}
	}
	return ns
}

func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

// form shows how the setting is written.
func (k *Key) form() string {
	switch {
	case k.Kind == Flag:
		return "flag"
	case k.Kind == Bool:
		return "flag, true or false"
	case k.Bare:
		return "flag, or " + k.wants()
	case len(k.Values) > 0 && k.Kind != Enum:
		return k.wants() + ", or " + strings.Join(k.Values, ", ")
	}
	return k.wants()
}

func (k *Key) limits() string {
	if k.Kind != Duration {
		return ""
	}
	return fmt.Sprintf("%v to %v", time.Duration(k.Min), time.Duration(k.Max))
}

// lines lists the annotation lines that may hold the setting.
func (k *Key) lines() []string {
	var ls []string
	if k.Scope&InJob != 0 {
		ls = append(ls, "//job:")
	}
	if k.Scope&InSchedule != 0 {
		ls = append(ls, "//job:schedule")
	}
	if k.Scope&InDefaults != 0 {
		ls = append(ls, "//job:defaults")
	}
	if k.Scope&InQueue != 0 {
		ls = append(ls, "//jobqueue:name")
	}
	return ls
}

func (k *Key) exampleLine() string {
	if k.Scope&InQueue != 0 {
		return queuePrefix + "billing " + k.Example
	}
	if k.Scope == InSchedule {
		return jobPrefix + "schedule " + k.Example
	}
	return jobPrefix + k.Example
}
