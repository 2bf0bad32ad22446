package billing

import (
	"context"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Outbox is a folder that holds one .eml file for each delivery. A file under its final name is whole and on disk, also
// after a power cut. It is safe for concurrent use, by several processes too.
type Outbox struct {
	dir string
}

const (
	extMail    = ".eml"
	extPart    = ".part"    // being written; worthless once its writer is gone
	extSending = ".sending" // handed to a mail server whose answer never came
)

// OpenOutbox makes the folder when it isn't there.
func OpenOutbox(dir string) (*Outbox, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	return &Outbox{dir}, nil
}

// Send implements Mailer: the mail is delivered when its file is there.
func (o *Outbox) Send(ctx context.Context, m *Mail) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("outbox: %w", context.Cause(ctx))
	}
	return o.put(m, extMail)
}

// put writes a mail beside its final name and then gives it that name, so that half a mail never shows.
func (o *Outbox) put(m *Mail, ext string) error {
	part := o.path(m, extPart)
	f, err := os.Create(part)
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	_, err = m.Message.WriteTo(f)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(part)
		return fmt.Errorf("outbox: %w", err)
	}
	return o.rename(part, o.path(m, ext))
}

func (o *Outbox) rename(from, to string) error {
	if err := moveFile(o.dir, from, to); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}

// moveFile gives a file of folder dir its final name, for good: also after a power cut.
func moveFile(dir, from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

func (o *Outbox) path(m *Mail, ext string) string {
	return filepath.Join(o.dir, m.Name.String()+ext)
}

// Contents is what lies in an outbox.
type Contents struct {
	Mails []DeliveryName
	// InDoubt were handed to a mail server that didn't answer before the process died: they may have arrived.
	InDoubt []DeliveryName
	// Damaged are files with the name of a mail that are no such mail.
	Damaged []string
}

// List reads the folder, and the head of every mail in it. Files that are none of ours are left out.
func (o *Outbox) List() (Contents, error) {
	var c Contents
	entries, err := os.ReadDir(o.dir)
	if err != nil {
		return c, fmt.Errorf("outbox: %w", err)
	}
	for _, entry := range entries {
		ext := filepath.Ext(entry.Name())
		name, err := ParseDeliveryName(strings.TrimSuffix(entry.Name(), ext))
		if err != nil {
			continue
		}
		switch ext {
		case extMail:
			if o.holds(entry.Name(), name) {
				c.Mails = append(c.Mails, name)
			} else {
				c.Damaged = append(c.Damaged, entry.Name())
			}
		case extSending:
			c.InDoubt = append(c.InDoubt, name)
		}
	}
	return c, nil
}

// holds reports whether a file is the mail that its name says.
func (o *Outbox) holds(file string, name DeliveryName) bool {
	f, err := os.Open(filepath.Join(o.dir, file))
	if err != nil {
		return false
	}
	defer f.Close()
	m, err := mail.ReadMessage(f)
	return err == nil &&
		m.Header.Get(string(HeaderInvoice)) == strconv.FormatInt(name.InvoiceID, 10) &&
		strings.HasPrefix(m.Header.Get(string(HeaderJob)), name.Key)
}

// Sweep removes mails that were never finished. Call it only while nobody sends.
func (o *Outbox) Sweep() error {
	parts, err := filepath.Glob(filepath.Join(o.dir, "*"+extPart))
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	for _, part := range parts {
		if err := os.Remove(part); err != nil {
			return fmt.Errorf("outbox: %w", err)
		}
	}
	return nil
}
