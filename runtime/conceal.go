package jobrt

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// concealLeast is the shortest secret, in bytes, that is looked for in a text: a shorter one is in every text.
const concealLeast = 3

// conceal replaces the values of the running job's secret fields, and of those of the results that it takes, where text
// quotes them. Secrets that the handler has from elsewhere, or in another form, it does not know.
func (a *attempt) conceal(text string) string {
	if a.secrets == nil {
		return text
	}
	if replacer := a.secrets(); replacer != nil {
		return replacer.Replace(text)
	}
	return text
}

// concealer finds the secrets of what a handler takes, decrypted; nil when there are none.
func (r *registered) concealer(job *ClaimedJob) *strings.Replacer {
	var values []string
	add := func(data []byte, secrets []string) {
		if len(secrets) == 0 || len(data) == 0 {
			return
		}
		found, err := secretValues(data, secrets)
		if err == nil { // otherwise it is no JSON, so nothing was decoded from it
			values = append(values, found...)
		}
	}
	add(job.Args, r.argSecrets)
	for _, p := range job.Parents {
		switch {
		case p.Slot == SlotArgs:
			add(p.Result, r.argSecrets)
		case p.Slot >= 0 && p.Slot < len(r.parents):
			add(p.Result, r.parents[p.Slot].secrets)
		}
	}
	return replacerOf(slices.DeleteFunc(values, func(v string) bool { return len(v) < concealLeast }))
}

// replacerOf puts [Redacted] in the place of values, as they are and as %q and encoding/json write them; nil when there are
// none.
func replacerOf(values []string) *strings.Replacer {
	if len(values) == 0 {
		return nil
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) }) // one may begin with another
	var pairs []string
	for _, v := range values {
		pairs = append(pairs, v, Redacted)
		quoted := strconv.Quote(v)
		if quoted = quoted[1 : len(quoted)-1]; quoted != v {
			pairs = append(pairs, quoted, Redacted)
		}
		if encoded, err := json.Marshal(v); err == nil && string(encoded[1:len(encoded)-1]) != quoted { // <, > and & are escaped
			pairs = append(pairs, string(encoded[1:len(encoded)-1]), Redacted)
		}
	}
	return strings.NewReplacer(pairs...)
}
