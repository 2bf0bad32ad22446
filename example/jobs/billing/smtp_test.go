package billing

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// mailServer is a mail server that keeps what it gets. answer decides what it says to a command; empty means yes.
type mailServer struct {
	addr   string
	answer func(command string) string

	mu    sync.Mutex
	mails []string
	conns sync.WaitGroup
}

const hangUp = "hang up"

func startMailServer(t *testing.T, answer func(command string) string) *mailServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &mailServer{addr: l.Addr().String(), answer: answer}
	s.conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.conns.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); s.conns.Wait() })
	return s
}

func (s *mailServer) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewScanner(conn)
	fmt.Fprint(conn, "220 test\r\n")
	for in.Scan() {
		command, _, _ := strings.Cut(in.Text(), " ")
		var text strings.Builder
		if command == "DATA" {
			fmt.Fprint(conn, "354 go on\r\n")
			for in.Scan() && in.Text() != "." {
				text.WriteString(strings.TrimPrefix(in.Text(), ".") + "\r\n")
			}
			command = "."
		}
		answer := "250 ok"
		if s.answer != nil {
			if a := s.answer(strings.TrimSpace(command + " " + in.Text())); a != "" {
				answer = a
			}
		}
		if command == "." && (answer == hangUp || answer[0] == '2') {
			s.mu.Lock()
			s.mails = append(s.mails, text.String())
			s.mu.Unlock()
		}
		if answer == hangUp {
			return
		}
		if command == "QUIT" {
			answer = "221 bye"
		}
		fmt.Fprint(conn, answer+"\r\n")
		if command == "QUIT" {
			return
		}
	}
}

func (s *mailServer) received() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.mails...)
}

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
	server := startMailServer(t, nil)
	outbox, dir, err := sendBySMTP(t, server.addr)
	if err != nil {
		t.Fatal(err)
	}
	got := server.received()
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
	server := startMailServer(t, func(command string) string {
		if strings.HasPrefix(command, "RCPT") {
			return "550 no mailbox office@elephant.example here"
		}
		return ""
	})
	outbox, _, err := sendBySMTP(t, server.addr)
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
		"busy": startMailServer(t, func(c string) string {
			if strings.HasPrefix(c, "MAIL") {
				return "421 too busy"
			}
			return ""
		}).addr,
		"full after the mail": startMailServer(t, func(c string) string {
			if strings.HasPrefix(c, ".") {
				return "452 disk full"
			}
			return ""
		}).addr,
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
	server := startMailServer(t, func(c string) string {
		if strings.HasPrefix(c, ".") {
			return hangUp
		}
		return ""
	})
	outbox, _, err := sendBySMTP(t, server.addr)
	if err == nil || errors.Is(err, ErrRejected) {
		t.Errorf("error %v, want one that a retry may mend", err)
	}
	if c, _ := outbox.List(); len(c.Mails) != 0 || len(c.InDoubt) != 1 || len(server.received()) != 1 {
		t.Errorf("outbox holds %+v, the server %d mails", c, len(server.received()))
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
