package billing

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jobgen/jobgen/example/internal/mailtest"
)

func sendBySMTP(t *testing.T, addr string) (outbox *Outbox, dir string, err error) {
	t.Helper()
	outbox, dir = openOutbox(t)
	mailer, err := NewSMTP(addr, outbox)
	if err != nil {
		t.Fatal(err)
	}
	_, err = testService(mailer).SendInvoice(t.Context(), testInvoice())
	return outbox, dir, err
}

func TestSMTPDeliversAndKeepsACopy(t *testing.T) {
	server := mailtest.Start(t, nil)
	outbox, dir, err := sendBySMTP(t, server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	got := server.Received()
	if len(got) != 1 {
		t.Fatalf("server has %d mails", len(got))
	}
	p := parse(t, []byte(got[0]))
	contents, _ := outbox.List()
	if len(contents.Mails) != 1 || len(contents.InDoubt) != 0 {
		t.Fatalf("outbox holds %+v", contents)
	}
	data, err := os.ReadFile(filepath.Join(dir, contents.Mails[0].String()+".eml"))
	if err != nil {
		t.Fatal(err)
	}
	kept := parse(t, data)
	if string(kept.attachment) != string(p.attachment) || kept.header.Get("Message-ID") != p.header.Get("Message-ID") || len(p.attachment) == 0 {
		t.Error("the copy is another mail than the one delivered")
	}
}

func TestSMTPRejectionIsPermanentAndHidesTheAddress(t *testing.T) {
	server := mailtest.Start(t, func(command string) string {
		if strings.HasPrefix(command, "RCPT") {
			return "550 no mailbox office@elephant.example here"
		}
		return ""
	})
	outbox, _, err := sendBySMTP(t, server.Addr)
	if !errors.Is(err, ErrRejected) || !strings.Contains(err.Error(), "no mailbox the recipient here") {
		t.Errorf("error %v", err)
	}
	if strings.Contains(err.Error(), "office@") {
		t.Errorf("error %q gives the address away", err)
	}
	if c, _ := outbox.List(); len(c.Mails)+len(c.InDoubt) != 0 {
		t.Errorf("outbox holds %+v", c)
	}
}

func TestSMTPTroubleIsTriedAgain(t *testing.T) {
	for name, addr := range map[string]string{
		"busy": mailtest.Start(t, func(c string) string {
			if strings.HasPrefix(c, "MAIL") {
				return "421 too busy"
			}
			return ""
		}).Addr,
		"full after the mail": mailtest.Start(t, func(c string) string {
			if strings.HasPrefix(c, ".") {
				return "452 disk full"
			}
			return ""
		}).Addr,
		"nobody there": unusedAddr(t),
	} {
		t.Run(name, func(t *testing.T) {
			outbox, _, err := sendBySMTP(t, addr)
			if err == nil || errors.Is(err, ErrRejected) {
				t.Errorf("error %v, want one that a retry may mend", err)
			}
			if c, _ := outbox.List(); len(c.Mails)+len(c.InDoubt) != 0 {
				t.Errorf("outbox holds %+v", c)
			}
		})
	}
}

func TestSMTPLeavesAMailInDoubtWhenTheAnswerIsLost(t *testing.T) {
	server := mailtest.Start(t, func(c string) string {
		if strings.HasPrefix(c, ".") {
			return mailtest.HangUp
		}
		return ""
	})
	outbox, _, err := sendBySMTP(t, server.Addr)
	if err == nil || errors.Is(err, ErrRejected) {
		t.Errorf("error %v, want one that a retry may mend", err)
	}
	if c, _ := outbox.List(); len(c.Mails) != 0 || len(c.InDoubt) != 1 || len(server.Received()) != 1 {
		t.Errorf("outbox holds %+v, the server %d mails", c, len(server.Received()))
	}
}

func TestSMTPRefusesAnAddressWithoutPort(t *testing.T) {
	for _, addr := range []string{"", "mail.example", "mail.example:smtp"} {
		if _, err := NewSMTP(addr, nil); err == nil {
			t.Errorf("%q was taken", addr)
		}
	}
}

// unusedAddr is an address that nobody listens at.
func unusedAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
