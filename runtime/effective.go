package jobrt

// Source says where the value of a setting comes from.
type Source string

// The sources of a setting, the first that has a value wins.
const (
	FromOperator   Source = "operator"   // an override
	FromPool       Source = "pool"       // PoolConfig
	FromAnnotation Source = "annotation" // the catalogue
	FromDefault    Source = "default"
)

// Effective is the value of a setting that is in force, and where it comes from.
type Effective struct {
	Value  string `json:"value"`
	Source Source `json:"source"`
	// Override is who has set it, why and until when; nil unless Source is FromOperator.
	Override *Override `json:"override,omitempty"`
}

// Resolve returns what a setting of a target comes to: an override goes before what the pool is configured with, that
// before the annotation, and that before the default. An empty text stands for no value.
func Resolve(overrides []Override, target, setting, configured, annotated, standard string) Effective {
	for i := range overrides {
		if o := &overrides[i]; o.Target == target && o.Setting == setting {
			return Effective{Value: o.Value, Source: FromOperator, Override: o}
		}
	}
	switch {
	case configured != "":
		return Effective{Value: configured, Source: FromPool}
	case annotated != "":
		return Effective{Value: annotated, Source: FromAnnotation}
	default:
		return Effective{Value: standard, Source: FromDefault}
	}
}

// Holds returns those of overrides that keep jobs of a kind in a queue from being claimed, on all workers or on some.
func Holds(overrides []Override, queue, kind string) []Override {
	var held []Override
	for _, o := range overrides {
		if o.Target != TargetAll && o.Target != TargetQueue(queue) && o.Target != TargetKind(kind) {
			continue
		}
		if known := overrideSettings[settingFamily(o.Setting)]; known.holds != nil && known.holds(o.Value) {
			held = append(held, o)
		}
	}
	return held
}

// MarkHeld sets Held of each line. Stores call it.
func MarkHeld(lines []Backlog, overrides []Override) {
	for i := range lines {
		if l := &lines[i]; l.State != StateRunning && l.State != StateDead {
			l.Held = Holds(overrides, l.Queue, l.Kind)
		}
	}
}
