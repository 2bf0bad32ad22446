package jobrt

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// hasSecrets reports whether there is something to conceal.
func (a *attempt) hasSecrets() bool { return a.secrets != nil && a.secrets() != nil }

// concealAttr returns an attribute of a log line without secrets: as it is unless its text holds one, and as text then.
func (a *attempt) concealAttr(attr slog.Attr) slog.Attr {
	if !a.hasSecrets() {
		return attr
	}
	v := attr.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		members := make([]slog.Attr, len(v.Group()))
		for i, m := range v.Group() {
			members[i] = a.concealAttr(m)
		}
		return slog.Attr{Key: a.conceal(attr.Key), Value: slog.GroupValue(members...)}
	}
	for _, text := range textsOf(v) {
		if shown := a.conceal(text); shown != text {
			v = slog.StringValue(shown)
			break
		}
	}
	return slog.Attr{Key: a.conceal(attr.Key), Value: v}
}

// textsOf are the ways in which handlers write a value: what its JSON says need not be what it prints.
func textsOf(v slog.Value) []string {
	if v.Kind() != slog.KindAny {
		return []string{v.String()}
	}
	texts := []string{fmt.Sprintf("%+v", v.Any())} // fmt catches a method that panics
	_ = unpanicked(func() error {
		data, err := json.Marshal(v.Any())
		texts = append(texts, string(data))
		return err
	})
	return texts
}
