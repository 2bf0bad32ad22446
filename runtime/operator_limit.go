package jobrt

import (
	"context"
	"strconv"
)

// SetConcurrency sets how many jobs of a queue or a kind run at once in the whole cluster, in place of the annotation's
// limit: see [TargetQueue] and [TargetKind]. 0 pauses it; running jobs go on. A kind with concurrency-key= counts for each
// key apart.
func (o *Operator) SetConcurrency(ctx context.Context, target string, n int, t Terms) error {
	return o.Override(ctx, Override{Target: target, Setting: SettingConcurrency, Value: strconv.Itoa(n)}, t)
}

// SetRate sets how many jobs of a queue or a kind start in any stretch of time in the whole cluster, in place of the
// annotation's limit. Per is a second, a minute, an hour or a day; N of 0 pauses it. A kind with rate-key= counts for each
// key apart.
func (o *Operator) SetRate(ctx context.Context, target string, r Rate, t Terms) error {
	return o.Override(ctx, Override{Target: target, Setting: SettingRate, Value: r.String()}, t)
}
