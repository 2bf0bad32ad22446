package jobrt

import "fmt"

// Role is the part of a program that one process plays, so that one binary can be deployed as both. It is a flag.Value,
// and reads itself from text. The zero Role is RoleAll.
type Role int

// The roles.
const (
	RoleAll    Role = iota // enqueues and runs jobs
	RoleWeb                // serves requests and enqueues: it makes a client, and no pool
	RoleWorker             // runs jobs
)

var roleNames = [...]string{RoleAll: "all", RoleWeb: "web", RoleWorker: "worker"}

// ParseRole reads "all", "web" or "worker". What is empty is RoleAll.
func ParseRole(name string) (Role, error) {
	for role, known := range roleNames {
		if name == known {
			return Role(role), nil
		}
	}
	if name == "" {
		return RoleAll, nil
	}
	return RoleAll, fmt.Errorf("role %q: want all, web or worker", name)
}

// Web reports whether the process shall do what brings jobs: serve requests, say.
func (r Role) Web() bool { return r != RoleWorker }

// Worker reports whether the process shall run jobs.
func (r Role) Worker() bool { return r != RoleWeb }

// String is the role's name.
func (r Role) String() string {
	if r < 0 || int(r) >= len(roleNames) {
		return fmt.Sprintf("Role(%d)", int(r))
	}
	return roleNames[r]
}

// Set implements flag.Value.
func (r *Role) Set(name string) (err error) {
	*r, err = ParseRole(name)
	return err
}

// MarshalText writes the role's name.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is Set.
func (r *Role) UnmarshalText(name []byte) error { return r.Set(string(name)) }
