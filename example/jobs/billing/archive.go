package billing

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Archive is a folder of files that are whole or not there. It is safe for concurrent use, by several processes too.
type Archive struct {
	dir string
}

// OpenArchive makes the folder when it isn't there.
func OpenArchive(dir string) (*Archive, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	return &Archive{dir}, nil
}

// File puts a file into the archive, in place of one with the same name. It is on disk when File returns.
func (a *Archive) File(ctx context.Context, name string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("archive: %w", context.Cause(ctx))
	}
	part, err := os.CreateTemp(a.dir, name+".*"+extPart)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	_, err = part.Write(data)
	if err == nil {
		err = part.Sync()
	}
	if closeErr := part.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = moveFile(a.dir, part.Name(), filepath.Join(a.dir, name))
	}
	if err != nil {
		os.Remove(part.Name())
		return fmt.Errorf("archive: %w", err)
	}
	return nil
}

// Receipts returns the numbers of the invoices whose receipts are filed.
func (a *Archive) Receipts() (map[int64]bool, error) {
	files, err := os.ReadDir(a.dir)
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	filed := make(map[int64]bool)
	for _, f := range files {
		var invoice int64
		if _, err := fmt.Sscanf(f.Name(), "receipt-%d.json", &invoice); err == nil && f.Name() == receiptName(invoice) {
			filed[invoice] = true
		}
	}
	return filed, nil
}

// Sweep removes files that were never finished. Call it only while nobody files.
func (a *Archive) Sweep() error {
	files, err := os.ReadDir(a.dir)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), extPart) {
			continue
		}
		if err := os.Remove(filepath.Join(a.dir, f.Name())); err != nil {
			return fmt.Errorf("archive: %w", err)
		}
	}
	return nil
}
