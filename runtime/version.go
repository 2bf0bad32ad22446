package jobrt

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// schemaOf is what a row keeps of its arguments' type: the fingerprint, behind "n:" from version 2 on.
func schemaOf(version int, fingerprint string) string {
	if version <= 1 {
		return fingerprint
	}
	return strconv.Itoa(version) + ":" + fingerprint
}

// versionOf reads the version that schemaOf wrote.
func versionOf(schema string) (int, error) {
	version, _, numbered := strings.Cut(schema, ":")
	if !numbered {
		return 1, nil
	}
	n, err := strconv.Atoi(version)
	if err != nil || n < 2 {
		return 0, fmt.Errorf("schema %q of the stored arguments has no version that this build understands", schema)
	}
	return n, nil
}

// decodeArgs reads arguments as they were stored under schema: by the codec, or by the upgrade from their version. Its
// error is a decodeError.
func (j *Job[A, R]) decodeArgs(data []byte, schema string) (A, error) {
	var args A
	current := max(j.Settings.Version, 1)
	stored, err := versionOf(schema)
	switch {
	case err != nil:
	case stored == current:
		err = j.Args.decode(data, &args)
	case stored > current:
		err = fmt.Errorf("stored by a newer build: version %d, this build reads %d", stored, current)
	default:
		err = j.upgradeArgs(data, &args, stored)
	}
	if err != nil {
		var zero A
		return zero, &decodeError{err}
	}
	return args, nil
}

func (j *Job[A, R]) upgradeArgs(data []byte, args *A, stored int) error {
	for _, u := range j.Upgrades {
		if u.Version == stored {
			if err := u.Decode(data, args); err != nil {
				return fmt.Errorf("version %d: %w", stored, err)
			}
			return nil
		}
	}
	return fmt.Errorf("version %d of the arguments has no upgrade to %d", stored, max(j.Settings.Version, 1))
}

// readSchema fingerprints all that decides whether a row of this job can be read: the type of the arguments and its
// version, the earlier versions that it can be upgraded from, and the results that the handler takes. A row that was
// found undecodable is tried again by a build with another one. For a job without the rest it is the schema of its rows.
func (j *Job[A, R]) readSchema() string {
	fingerprint := j.Args.Schema
	if len(j.Parents) > 0 || len(j.Upgrades) > 0 {
		h := sha256.New()
		fmt.Fprintf(h, "%s\n", j.Args.Schema)
		for _, p := range j.Parents {
			fmt.Fprintf(h, "parent %s\n", p.schema)
		}
		for _, u := range j.Upgrades {
			fmt.Fprintf(h, "upgrade %d %s\n", u.Version, u.Schema)
		}
		fingerprint = hex.EncodeToString(h.Sum(nil)[:8])
	}
	return schemaOf(j.Settings.Version, fingerprint)
}
