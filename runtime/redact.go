package jobrt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Redacted stands in the place of a secret value.
const Redacted = "[secret]"

// resultPath begins the paths of a result's secrets in a KindInfo.
const resultPath = "result"

// secretPaths joins the secrets of arguments and result for the catalogue.
func secretPaths(args, result []string) []string {
	var paths []string
	paths = append(paths, args...)
	for _, p := range result {
		paths = append(paths, resultPath+p)
	}
	return paths
}

// RedactArgs returns the JSON text of a job's arguments with the values at k's secret paths replaced by [Redacted].
func (k KindInfo) RedactArgs(data []byte) ([]byte, error) { return redact(data, "", k.Secrets) }

// RedactResult is RedactArgs for a result.
func (k KindInfo) RedactResult(data []byte) ([]byte, error) {
	return redact(data, resultPath, k.Secrets)
}

// redact writes data anew, compact, its secrets replaced. root is the path of the outermost value. On an error it
// returns nothing, because what it has not understood may be secret.
func redact(data []byte, root string, secrets []string) ([]byte, error) {
	if e, ok := sealedIn(data); ok {
		return json.Marshal(fmt.Sprintf("[encrypted, key %s]", clip(e.Key)))
	}
	r := &redactor{dec: json.NewDecoder(bytes.NewReader(data)), secrets: secrets}
	r.dec.UseNumber()
	err := r.value([]string{root})
	if err == nil {
		if _, end := r.dec.Token(); end != io.EOF {
			err = errors.New("more than one value")
		}
	}
	if err != nil {
		return nil, errors.New("redact: not JSON") // the decoder's text may quote a secret
	}
	return r.out.Bytes(), nil
}

type redactor struct {
	dec     *json.Decoder
	out     bytes.Buffer
	secrets []string
	hide    func(json.Token) // gets what is replaced; may be nil
}

// value copies the next value. paths are those it may have: a member of an object is ".name" for a struct and "{}" for
// a map, which JSON does not tell apart.
func (r *redactor) value(paths []string) error {
	for _, p := range paths {
		for _, secret := range r.secrets {
			if p == secret {
				fmt.Fprintf(&r.out, "%q", Redacted)
				return r.skip()
			}
		}
	}
	tok, err := r.dec.Token()
	if err != nil {
		return err
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return r.scalar(tok)
	}
	r.out.WriteByte(byte(delim))
	for n := 0; r.dec.More(); n++ {
		if n > 0 {
			r.out.WriteByte(',')
		}
		if delim == '[' {
			err = r.value(r.under(paths, "[]"))
		} else {
			var key json.Token
			if key, err = r.dec.Token(); err != nil {
				return err
			}
			if err = r.scalar(key); err != nil {
				return err
			}
			r.out.WriteByte(':')
			name, _ := key.(string)
			err = r.value(r.under(paths, "."+name, "{}"))
		}
		if err != nil {
			return err
		}
	}
	end, err := r.dec.Token()
	if err != nil {
		return err
	}
	r.out.WriteByte(byte(end.(json.Delim)))
	return nil
}

// under returns the paths of a member, those that lead to no secret left out.
func (r *redactor) under(paths []string, steps ...string) []string {
	var out []string
	for _, p := range paths {
		for _, step := range steps {
			for _, secret := range r.secrets {
				if strings.HasPrefix(secret, p+step) {
					out = append(out, p+step)
					break
				}
			}
		}
	}
	return out
}

func (r *redactor) scalar(tok json.Token) error {
	enc := json.NewEncoder(&r.out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(tok); err != nil {
		return err
	}
	r.out.Truncate(r.out.Len() - 1) // the encoder's line feed
	return nil
}

// skip reads over the next value.
func (r *redactor) skip() error {
	for depth := 0; ; {
		tok, err := r.dec.Token()
		if err != nil {
			return err
		}
		if r.hide != nil {
			r.hide(tok)
		}
		switch tok {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}
