// Package mailtest is a mail server for tests.
package mailtest

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server speaks enough SMTP to take mails, and keeps them. It is safe for concurrent use.
type Server struct {
	Addr string

	answer func(command string) string
	mu     sync.Mutex
	mails  []string
	conns  sync.WaitGroup
}

// HangUp is the answer of a server that takes the mail and then breaks the connection.
const HangUp = "hang up"

// patience bounds a conversation.
const patience = time.Minute

// Start starts a server on the loopback interface and stops it when the test ends. answer decides what it says to a
// command, such as "RCPT TO:<a@b.example>", or "." for the end of a mail; nil and the empty answer mean yes.
func Start(t *testing.T, answer func(command string) string) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if answer == nil {
		answer = func(string) string { return "" }
	}
	s := &Server{Addr: l.Addr().String(), answer: answer}
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

// Received returns the mails so far.
func (s *Server) Received() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

func (s *Server) serve(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	in := bufio.NewScanner(conn)
	fmt.Fprint(conn, "220 test\r\n")
	for in.Scan() {
		command, mail := in.Text(), ""
		if command == "DATA" {
			fmt.Fprint(conn, "354 go on\r\n")
			mail = readMail(in)
			command = "."
		}
		answer := s.answer(command)
		switch {
		case answer != "":
		case command == "QUIT":
			answer = "221 bye"
		default:
			answer = "250 ok"
		}
		if command == "." && (answer == HangUp || answer[0] == '2') {
			s.mu.Lock()
			s.mails = append(s.mails, mail)
			s.mu.Unlock()
		}
		if answer == HangUp {
			return
		}
		fmt.Fprint(conn, answer+"\r\n")
		if command == "QUIT" {
			return
		}
	}
}

// readMail reads until the line that is a dot alone.
func readMail(in *bufio.Scanner) string {
	var text strings.Builder
	for in.Scan() && in.Text() != "." {
		text.WriteString(strings.TrimPrefix(in.Text(), ".") + "\r\n")
	}
	return text.String()
}
