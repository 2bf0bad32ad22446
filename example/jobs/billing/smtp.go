package billing

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
)

// SMTP hands mails to a mail server and keeps a copy of each in an outbox. It is safe for concurrent use.
//
// The copy is there before the conversation starts, under a name that says so, and gets its final name once the server
// has taken the mail. A process that dies in between leaves the mail in doubt, for people to see.
type SMTP struct {
	client *mail.Client
	copies *Outbox
}

// NewSMTP returns a mailer for the server at addr, host:port. It encrypts when the server can.
func NewSMTP(addr string, copies *Outbox) (*SMTP, error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("smtp: address %q: want host:port", addr)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("smtp: address %q: port is not a number", addr)
	}
	client, err := mail.NewClient(host, mail.WithPort(port), mail.WithTLSPolicy(mail.TLSOpportunistic),
		mail.WithTimeout(15*time.Second))
	if err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	return &SMTP{client: client, copies: copies}, nil
}

// Send implements Mailer.
func (s *SMTP) Send(ctx context.Context, m *Mail) error {
	if err := s.copies.put(m, extSending); err != nil {
		return err
	}
	sending := s.copies.path(m, extSending)
	err := s.client.DialAndSendWithContext(ctx, m.Message)
	if err == nil || m.Message.IsDelivered() { // an error after that is about saying goodbye
		return s.copies.rename(sending, s.copies.path(m, extMail))
	}
	var answer *mail.SendError
	answered := errors.As(err, &answer)
	if !answered || answer.Reason != mail.ErrSMTPDataClose || answer.ErrorCode() != 0 {
		os.Remove(sending) // it was not taken: that is no doubt
	}
	text := s.describe(err, m)
	if answered && answer.ErrorCode() >= 500 {
		return fmt.Errorf("%w: %s", ErrRejected, text)
	}
	return fmt.Errorf("smtp: %s", text)
}

// describe is the error's text in one line and without the address, which servers like to repeat.
func (s *SMTP) describe(err error, m *Mail) string {
	var answer *mail.SendError
	if errors.As(err, &answer) {
		err = answer
	}
	text, _, _ := strings.Cut(err.Error(), ", affected ") // what follows are the recipient and the Message-ID
	for _, to := range m.Message.GetTo() {
		text = strings.ReplaceAll(text, to.Address, "the recipient")
	}
	return strings.Join(strings.Fields(text), " ")
}
