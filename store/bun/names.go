package bunstore

import (
	"strings"
	"sync"
)

// tableNames are the tables, as {jobs}, {history} and so on in the text of a statement.
var tableNames = []string{
	"jobs", "history", "dead", "attempts", "kinds", "queues", "workers", "uniques", "duties", "migrations",
	"edges", "outcomes", "batches", "batch_deltas", "effects", "services", "audit", "bulks",
	"overrides", "builds",
	"steps", "logs", "progress",
	"schedules", "schedule_runs", "schedule_orders", "loops",
	"outbox", "outbox_items",
	"stats", "breakers",
	"limits", "limit_starts",
	"replacements",
}

// names turns the text of a statement, as it stands in this package, into what is sent. Each text is rendered once.
// It is safe for concurrent use.
type names struct {
	schema, prefix string
	replace        *strings.Replacer
	rendered       sync.Map // text -> string
}

func newNames(cfg Config) *names {
	n := &names{schema: cfg.Schema, prefix: cfg.Prefix}
	var pairs []string
	for _, t := range tableNames {
		pairs = append(pairs, "{"+t+"}", n.table(t), "{index:"+t+"}", n.prefix+t)
	}
	n.replace = strings.NewReplacer(pairs...)
	return n
}

// table returns the full name of a table. The schema is quoted, because it may be a word of SQL's own.
func (n *names) table(name string) string {
	if n.schema == "" {
		return n.prefix + name
	}
	return n.quotedSchema() + "." + n.prefix + name
}

func (n *names) quotedSchema() string { return `"` + n.schema + `"` }

// sql renders text: {jobs} becomes the table's full name, {index:jobs} the same without its schema.
func (n *names) sql(text string) string {
	if s, ok := n.rendered.Load(text); ok {
		return s.(string)
	}
	s := n.replace.Replace(text)
	n.rendered.Store(text, s)
	return s
}
