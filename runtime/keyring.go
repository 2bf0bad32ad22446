package jobrt

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Keyring encrypts what the rows of jobs say: arguments, results, those that once= and [Once] record, and those of steps.
// It is AES-256-GCM, under keys derived from those given. A row tells the id of its key, so keys are rotated by adding
// one and making it Current; an old one is needed for as long as rows of it are about. A row whose key is missing is
// dead, undecodable, and is tried again by a process that has the key.
//
// Each value is bound to its kind, not to its row: whoever may write to the tables can give one job the arguments of
// another of the same kind. What else the tables hold stays readable: see docs/secrets.md.
type Keyring struct {
	// Current is the id of the key that encrypts: printable, at most 64 bytes. Empty: nothing new is encrypted.
	Current string
	// Keys are 32 random bytes each, by id.
	Keys map[string][]byte
	// Kinds whose jobs are encrypted, by stored name. Empty: all.
	Kinds []string
}

// String names the keys. Whoever prints or logs a Keyring, or a configuration that has one, shows no key.
func (k Keyring) String() string {
	return fmt.Sprintf("keyring %q, current %q", slices.Sorted(maps.Keys(k.Keys)), k.Current)
}

// GoString is String.
func (k Keyring) GoString() string { return k.String() }

// MarshalText is String, for encoding/json and log/slog: a Keyring cannot be stored by them.
func (k Keyring) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// keySize is the length of a key, in bytes; maxKeyID that of its id.
const (
	keySize  = 32
	maxKeyID = 64
)

// What a value is: part of what it is bound to.
const (
	sealArgs   = "args"
	sealResult = "result"
	sealOnce   = "once"
	sealStep   = "step"
)

// sealer is a Keyring made ready. A nil sealer encrypts nothing and has no keys.
type sealer struct {
	current     *sealKey
	keys        map[string]*sealKey
	kinds       map[string]bool // nil: all
	fingerprint string          // of the ids of the keys
}

type sealKey struct {
	id    string
	aead  cipher.AEAD
	nonce []byte // key of the digest that makes nonces
}

// newSealer checks a Keyring.
func newSealer(k *Keyring) (*sealer, error) {
	if k == nil {
		return nil, nil
	}
	s := &sealer{keys: make(map[string]*sealKey, len(k.Keys))}
	ids := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(k.Keys)) {
		if id == "" || len(id) > maxKeyID || !printable(id) {
			return nil, fmt.Errorf("keyring: id %q of a key: want 1 to %d bytes of printable text", clip(id), maxKeyID)
		}
		key, err := newSealKey(id, k.Keys[id])
		if err != nil {
			return nil, fmt.Errorf("keyring: key %q: %w", id, err)
		}
		s.keys[id] = key
		fmt.Fprintf(ids, "%q", id)
	}
	s.fingerprint = hex.EncodeToString(ids.Sum(nil)[:4])
	if k.Current != "" {
		if s.current = s.keys[k.Current]; s.current == nil {
			return nil, fmt.Errorf("keyring: Current names key %q, which is not among Keys", clip(k.Current))
		}
	}
	for _, kind := range k.Kinds {
		if s.kinds == nil {
			s.kinds = make(map[string]bool, len(k.Kinds))
		}
		s.kinds[kind] = true
	}
	return s, nil
}

func newSealKey(id string, secret []byte) (*sealKey, error) {
	if len(secret) != keySize {
		return nil, fmt.Errorf("it has %d bytes, want %d", len(secret), keySize)
	}
	encrypt, err := hkdf.Key(sha256.New, secret, nil, "jobgen v1 encrypt", keySize)
	if err != nil {
		return nil, err
	}
	nonce, err := hkdf.Key(sha256.New, secret, nil, "jobgen v1 nonce", keySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(encrypt)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &sealKey{id: id, aead: aead, nonce: nonce}, nil
}

// seals reports whether values of a kind's jobs are encrypted.
func (s *sealer) seals(kind string) bool {
	return s != nil && s.current != nil && (s.kinds == nil || s.kinds[kind])
}

// envelope is the JSON form of an encrypted value.
type envelope struct {
	Sealed *sealed `json:"jobgen.enc"`
}

type sealed struct {
	Version int    `json:"v"`
	Key     string `json:"k"`
	Data    string `json:"d"` // nonce and ciphertext, base64
}

// envelopeStart begins every envelope, and no value of a user's type unless a field has that very name.
const envelopeStart = `{"jobgen.enc":`

// seal encrypts a value of a job; nil and {} stay as they are. The nonce is a keyed digest of the value and of all that
// it belongs to, so that a value that is sent again is the same text, while equal values of two jobs are not.
func (s *sealer) seal(what, kind string, of []byte, value []byte) []byte {
	if !s.seals(kind) {
		return value
	}
	return s.encrypt(what, kind, of, value)
}

// sealRow is seal for a row that may have an earlier name of the kind: it is bound to the name that the row has for good,
// and encrypted where either of the two is.
func (s *sealer) sealRow(what, kind, registered string, of []byte, value []byte) []byte {
	if !s.seals(kind) && !s.seals(registered) {
		return value
	}
	return s.encrypt(what, kind, of, value)
}

func (s *sealer) encrypt(what, kind string, of []byte, value []byte) []byte {
	if len(value) == 0 || string(value) == noArgs {
		return value
	}
	k := s.current
	bound := boundTo(what, kind, k.id)
	mac := hmac.New(sha256.New, k.nonce)
	for _, part := range [][]byte{bound, of, value} {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		mac.Write(part)
	}
	nonce := mac.Sum(nil)[:k.aead.NonceSize()]
	data := base64.StdEncoding.EncodeToString(k.aead.Seal(nonce, nonce, value, bound))
	text, err := json.Marshal(envelope{&sealed{Version: 1, Key: k.id, Data: data}})
	if err != nil { // not for two strings and a number
		panic(err)
	}
	return text
}

// boundTo is what a value is authenticated with.
func boundTo(what, kind, key string) []byte {
	return fmt.Appendf(nil, "jobgen v1 %q %q %q", what, kind, key)
}

// sealedIn reads the envelope of an encrypted value; ok is false for one that is not encrypted.
func sealedIn(value []byte) (e sealed, ok bool) {
	if !bytes.HasPrefix(value, []byte(envelopeStart)) {
		return sealed{}, false
	}
	var env envelope
	if err := json.Unmarshal(value, &env); err != nil || env.Sealed == nil {
		return sealed{}, false
	}
	return *env.Sealed, true
}

// plainSize is about the length of a value that may be encrypted, in bytes.
func plainSize(value []byte) int {
	if e, ok := sealedIn(value); ok {
		return base64.StdEncoding.DecodedLen(len(e.Data))
	}
	return len(value)
}

// open decrypts a value; one that is not encrypted is returned as it is.
func (s *sealer) open(what, kind string, value []byte) ([]byte, error) {
	e, ok := sealedIn(value)
	if !ok {
		return value, nil
	}
	if e.Version != 1 {
		return nil, fmt.Errorf("encrypted in form %d, which this build does not read", e.Version)
	}
	var k *sealKey
	if s != nil {
		k = s.keys[e.Key]
	}
	if k == nil {
		return nil, fmt.Errorf("encrypted with key %q, which this process does not have", clip(e.Key))
	}
	data, err := base64.StdEncoding.DecodeString(e.Data)
	if err != nil || len(data) < k.aead.NonceSize() {
		return nil, fmt.Errorf("encrypted with key %q, but the text is damaged", e.Key)
	}
	n := k.aead.NonceSize()
	plain, err := k.aead.Open(nil, data[:n], data[n:], boundTo(what, kind, k.id))
	if err != nil {
		return nil, fmt.Errorf("encrypted with key %q, but the key or the text is not what it was when a %s of %s was encrypted", e.Key, what, kind)
	}
	return plain, nil
}

// readSchema is a kind's schema together with the keys at hand: what decides whether this process can read a row.
func (s *sealer) readSchema(schema string) string {
	if s == nil {
		return schema
	}
	return schema + "/" + s.fingerprint
}

// sealJobs encrypts the arguments of jobs that are about to be stored.
func (s *sealer) sealJobs(jobs []NewJob) {
	for i := range jobs {
		jobs[i].Args = s.seal(sealArgs, jobs[i].Kind, jobs[i].ID[:], jobs[i].Args)
	}
}

// openClaimed decrypts what a handler takes. Its error is a decodeError.
func (s *sealer) openClaimed(job *ClaimedJob) error {
	args, err := s.open(sealArgs, job.Kind, job.Args)
	if err != nil {
		return &decodeError{err}
	}
	job.Args = args
	if err := s.openParents(job.Parents); err != nil {
		return &decodeError{err}
	}
	return nil
}

func (s *sealer) openParents(parents []ParentOutcome) error {
	for i := range parents {
		p := &parents[i]
		result, err := s.open(sealResult, p.Kind, p.Result)
		if err != nil {
			return fmt.Errorf("result of parent %s (%s): %w", p.ID, p.Kind, err)
		}
		p.Result = result
	}
	return nil
}

// sealEnd encrypts the results of an attempt of a row's kind. once is the kind whose ledger it settles: that of the
// registration, where the row may have an earlier name of it.
func (s *sealer) sealEnd(f *Finish, kind, once string) {
	if !s.seals(once) && !s.seals(kind) {
		return
	}
	f.Result = s.encrypt(sealResult, kind, f.ID[:], f.Result)
	if f.Effect != nil {
		f.Effect.Result = s.encrypt(sealOnce, once, f.Effect.Key, f.Effect.Result)
	}
}

// label is the text of a ledger's key for people. That of an encrypted kind may be secret.
func (s *sealer) label(kind string, key []byte) string {
	if s.seals(kind) {
		return "encrypted"
	}
	return labelOf(key)
}

// Reveal decrypts the arguments and results of a job that was read from the client's store, in place. What is not
// encrypted stays as it is. On an error, a key is missing say, the rest is decrypted all the same.
func (c *Client) Reveal(job *JobInfo) error {
	args, argsErr := c.sealer.open(sealArgs, job.Kind, job.Args)
	if argsErr == nil {
		job.Args = args
	}
	result, resultErr := c.sealer.open(sealResult, job.Kind, job.Result)
	if resultErr == nil {
		job.Result = result
	}
	if err := errors.Join(argsErr, resultErr, c.sealer.openParents(job.Parents)); err != nil {
		return fmt.Errorf("job %s: %w", job.ID, err)
	}
	return nil
}

// resent sends a parcel. A job that the client's store has refused, because it knows the id with other arguments, is sent
// once more as it is stored there, when that is the same job in another encrypted form.
func (c *Client) resent(ctx context.Context, p parcel, send func() ([]Inserted, error)) ([]Inserted, error) {
	for {
		inserted, err := send()
		var taken *IDTakenError
		if c.sealer == nil || !errors.As(err, &taken) {
			return inserted, err
		}
		known, unread := c.storedAs(ctx, taken.ID)
		if unread != nil || !c.asStored(p, known) {
			return inserted, err
		}
	}
}

// storedAs finds a job as it is stored: in the outbox of another database, on its way to the client's, or there. Outboxes
// come first, because that is where jobs are while the client's database is away.
func (c *Client) storedAs(ctx context.Context, id ID) (known JobInfo, err error) {
	for _, other := range c.databases()[1:] {
		err = bounded(ctx, func(ctx context.Context) error {
			item, err := other.store.Stowed(ctx, id)
			if err == nil {
				known, err = item.waitingJob()
			}
			return err
		})
		if err == nil {
			return known, nil
		}
	}
	err = bounded(ctx, func(ctx context.Context) (err error) {
		known, err = c.store.Job(ctx, id)
		return err
	})
	return known, err
}

// asStored gives a job of p, which the store has refused because its id is known with other arguments, the text of the
// stored ones, if they say the same: another key, or none, was current when they were stored.
func (c *Client) asStored(p parcel, known JobInfo) bool {
	for i := range p.jobs {
		j := &p.jobs[i]
		if j.ID != known.ID || j.Kind != known.Kind || bytes.Equal(j.Args, known.Args) {
			continue
		}
		stored, err := c.sealer.open(sealArgs, known.Kind, known.Args)
		if err != nil {
			return false
		}
		given, err := c.sealer.open(sealArgs, j.Kind, j.Args)
		if err != nil || !bytes.Equal(stored, given) {
			return false
		}
		j.Args = known.Args
		return true
	}
	return false
}

// sealerOf returns the keys of ctx's client, if that is on store.
func sealerOf(ctx context.Context, store Store) *sealer {
	if c := ClientFrom(ctx); c != nil && same(innermost(c.store), innermost(store)) {
		return c.sealer
	}
	return nil
}

// check refuses kinds of a service's that it does not have: a name with a mistake in it would leave rows readable.
func (s *sealer) check(service string, kinds []string) error {
	if s == nil {
		return nil
	}
	for kind := range s.kinds {
		if strings.HasPrefix(kind, service+"/") && !slices.Contains(kinds, kind) {
			return fmt.Errorf("keyring: Kinds names %q, and the registry has no such job", clip(kind))
		}
	}
	return nil
}
