package jobrt

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// decode is Decode whose error does not quote secrets of the data, because it is stored and shown with the job.
func (c Codec[T]) decode(data []byte, v *T) error {
	err := unpanicked(func() error { return c.Decode(data, v) })
	if err == nil || len(c.Secrets) == 0 {
		return err
	}
	return withoutSecrets(err, data, c.Secrets)
}

// unpanicked turns a panic of a function that reads stored data, an UnmarshalJSON or an upgrade, into an error: the data
// does not decode with this build, whatever way it says so.
func unpanicked(read func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return read()
}

// withoutSecrets replaces the values at the secret paths of data where the text of err quotes them. When data cannot be
// read there is no telling what the text quotes.
func withoutSecrets(err error, data []byte, secrets []string) error {
	values, unread := secretValues(data, secrets)
	if unread != nil {
		return errors.New("not JSON; the reason may quote a secret, so it is not shown")
	}
	text := err.Error()
	if replacer := replacerOf(values); replacer != nil {
		if hidden := replacer.Replace(text); hidden != text {
			return errors.New(hidden)
		}
	}
	return err
}

// secretValues are the strings and numbers at and below the secret paths of data.
func secretValues(data []byte, secrets []string) ([]string, error) {
	var values []string
	r := &redactor{dec: json.NewDecoder(strings.NewReader(string(data))), secrets: secrets, hide: func(tok json.Token) {
		switch v := tok.(type) {
		case string:
			if v != "" {
				values = append(values, v)
			}
		case json.Number:
			values = append(values, v.String())
		}
	}}
	r.dec.UseNumber()
	if err := r.value([]string{""}); err != nil {
		return nil, err
	}
	return values, nil
}
