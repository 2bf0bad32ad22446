package jobrt

import "time"

// The keys of annotations that say how long a kind's jobs are kept.
const (
	keepForKey = "keep-for"
	deadForKey = "dead-for"
)

// retentionOf is how long a database keeps its jobs: those of a kind in the catalogue, whatever service it belongs to, as
// its annotation says, and all others for keep. A time that this build cannot read keeps the job as long as there is.
func retentionOf(kinds []KindInfo, keep time.Duration) Retention {
	r := Retention{History: keep}
	for _, k := range kinds {
		class := RetentionClass{Kind: k.Kind, History: keep}
		named := false
		for _, s := range k.Settings {
			switch s.Key {
			case keepForKey:
				class.History, named = keptFor(s.Value), true
			case deadForKey:
				class.Dead, named = keptFor(s.Value), true
			}
		}
		if named {
			r.Classes = append(r.Classes, class)
		}
	}
	return r
}

func keptFor(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > MaxExpires {
		return MaxExpires
	}
	return d
}
