package jobrt

import "context"

// maxProgressMessage bounds the message of Progress, in bytes.
const maxProgressMessage = 500

// Progress says how far the running job is: done of total, 0 when that is unknown, and in words, if a message is given.
// It is shown with the job: JobInfo.Progress. Only the last one counts. It returns at once; the store gets it within a
// second or so, at the latest with the end of the attempt, and a store that is away fails no job. What an attempt has
// said stays until the next one says something else. Outside a handler Progress does nothing. It is safe for concurrent
// use.
func Progress(ctx context.Context, done, total int64, message ...string) {
	a := running(ctx)
	if a == nil || a.scribe == nil {
		return
	}
	p := ProgressInfo{LeaseSeq: a.ref.LeaseSeq, Done: done, Total: max(total, 0)}
	if len(message) > 0 {
		p.Message = storable(a.conceal(message[0]), maxProgressMessage)
	}
	if a.notes.say(p) {
		a.scribe.due(a)
	}
}
