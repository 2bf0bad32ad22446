package bunstore

import (
	"cmp"
	"fmt"
	"regexp"
	"time"
)

// Migrate says what Open and New do about the tables.
type Migrate int

// What Open and New do about the tables.
const (
	// Auto makes or updates them. Any number of processes may start at once: one migrates, the others wait.
	Auto Migrate = iota
	// Check refuses to start when they are not up to date, with the command line that updates them.
	Check
	// Off does not look. What is missing shows when it is used.
	Off
)

// Config is how a store differs from the usual. The zero value works.
type Config struct {
	// Migrate says what to do about the tables. Default Auto.
	Migrate Migrate

	// Prefix begins the name of each table. Default "jobgen_". Lower-case letters, digits and underscores, at most 30
	// bytes. Stores with different prefixes on one database don't see each other.
	Prefix string

	// Schema is the PostgreSQL schema that holds the tables; Auto creates it. Default: the first one of the
	// connection's search_path. SQLite has none.
	Schema string

	// Timeout ends a database call whose context has no deadline of its own. Default 30 s.
	Timeout time.Duration

	// MaxConns limits the connections that Open makes for enqueues, queries and the transactions of RunInTx, besides
	// the at most four of a worker's session. Default 10. New leaves the application's pool as it is.
	MaxConns int

	// Pooler says that a pooler in transaction mode, such as PgBouncer, stands before PostgreSQL: no prepared
	// statements, no LISTEN. PgBouncer is detected without it.
	Pooler bool

	// NoListen makes workers poll even where LISTEN would work.
	NoListen bool
}

const (
	defaultTimeout  = 30 * time.Second
	defaultMaxConns = 10
)

// identifier is a name that needs no quotes and leaves room for what is appended to it.
var identifier = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,29}$`)

// filled returns c with its defaults, or what is wrong with it.
func (c Config) filled() (Config, error) {
	c.Prefix = cmp.Or(c.Prefix, "jobgen_")
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.MaxConns = cmp.Or(c.MaxConns, defaultMaxConns)
	switch {
	case !identifier.MatchString(c.Prefix):
		return c, fmt.Errorf("Config.Prefix %q: want lower-case letters, digits and underscores, at most 30 bytes", c.Prefix)
	case c.Schema != "" && !identifier.MatchString(c.Schema):
		return c, fmt.Errorf("Config.Schema %q: want lower-case letters, digits and underscores, at most 30 bytes", c.Schema)
	case c.Timeout < 0:
		return c, fmt.Errorf("Config.Timeout %v is negative", c.Timeout)
	case c.MaxConns < 0:
		return c, fmt.Errorf("Config.MaxConns %d is negative", c.MaxConns)
	case c.Migrate < Auto || c.Migrate > Off:
		return c, fmt.Errorf("Config.Migrate %d is unknown", c.Migrate)
	}
	return c, nil
}

// one returns the only Config of a variadic parameter.
func one(cfg []Config) (Config, error) {
	switch len(cfg) {
	case 0:
		return Config{}.filled()
	case 1:
		return cfg[0].filled()
	default:
		return Config{}, fmt.Errorf("%d Configs given, want at most one", len(cfg))
	}
}
