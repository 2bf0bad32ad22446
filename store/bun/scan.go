package bunstore

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// instant scans a time from what the drivers give: a time, microseconds since 1970, or text. NULL is the zero time.
type instant struct{ time.Time }

// instantLayouts are the texts of PostgreSQL and SQLite.
var instantLayouts = []string{
	"2006-01-02 15:04:05.999999999Z07", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999",
	time.RFC3339Nano,
}

// What PostgreSQL's infinities are read as. No statement stores them in a job's row, but an operator may.
var (
	firstInstant = time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)
	lastInstant  = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
)

// Scan implements sql.Scanner.
func (i *instant) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		i.Time = time.Time{}
	case time.Time:
		i.Time = v.UTC()
	case int64:
		i.Time = time.UnixMicro(v).UTC()
	case []byte:
		return i.Scan(string(v))
	case string:
		switch v {
		case "infinity":
			i.Time = lastInstant
			return nil
		case "-infinity":
			i.Time = firstInstant
			return nil
		}
		for _, layout := range instantLayouts {
			if t, err := time.Parse(layout, v); err == nil {
				i.Time = t.UTC()
				return nil
			}
		}
		return fmt.Errorf("cannot read %q as a time", v)
	default:
		return fmt.Errorf("cannot read %T as a time", src)
	}
	return nil
}

// optionalID scans an id or NULL, which is the zero id.
type optionalID struct{ jobrt.ID }

// Scan implements sql.Scanner.
func (o *optionalID) Scan(src any) error {
	if src == nil {
		o.ID = jobrt.ID{}
		return nil
	}
	return o.ID.Scan(src)
}

// text scans text or NULL, which is "".
type text string

// Scan implements sql.Scanner.
func (t *text) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*t = ""
	case string:
		*t = text(v)
	case []byte:
		*t = text(v)
	default:
		return fmt.Errorf("cannot read %T as text", src)
	}
	return nil
}

// raw scans JSON text or NULL, which is nil, into bytes of its own.
type raw []byte

// Scan implements sql.Scanner.
func (b *raw) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*b = nil
	case string:
		*b = raw(v)
	case []byte:
		*b = append(raw{}, v...)
	default:
		return fmt.Errorf("cannot read %T as JSON", src)
	}
	return nil
}

// encodeTags is how tags are stored: a JSON array, nil for none.
func encodeTags(tags []string) []byte {
	if len(tags) == 0 {
		return nil
	}
	data, err := json.Marshal(tags)
	if err != nil {
		return nil // strings always encode
	}
	return data
}

// encodeOrigin is how an origin is stored: a JSON object, nil for an empty one.
func encodeOrigin(o jobrt.Origin) []byte {
	if o == (jobrt.Origin{}) {
		return nil
	}
	data, err := json.Marshal(o)
	if err != nil {
		return nil // strings always encode
	}
	return data
}

// unreadable stands for tags or an origin that somebody has edited into something else. The job itself can still run, and
// one such row must not keep a claim from the others of its batch.
const unreadable = "(unreadable)"

func decodeTags(data raw) (tags []string) {
	if data != nil && json.Unmarshal(data, &tags) != nil {
		return []string{unreadable}
	}
	return tags
}

func decodeOrigin(data raw) (o jobrt.Origin) {
	if data != nil && json.Unmarshal(data, &o) != nil {
		return jobrt.Origin{Service: unreadable}
	}
	return o
}

// claimedColumns are what scanClaimed reads, in its order.
const claimedColumns = `id, lease_seq, service, kind, queue, priority, run_at, created_at, args, args_schema, attempt,
	max_retries, crashes, suspect, started, timeout_us, keep_result, tags, origin, batch_id, inputs,
	expires_us > 0 AND run_at + least(expires_us, 3153600000000000) * interval '1 microsecond' <= statement_timestamp(), trace,
	limit_key`

// scanClaimed reads a row of claimedColumns. inputs is set when the handler takes outcomes of parents.
func scanClaimed(r rows) (c jobrt.ClaimedJob, inputs bool, err error) {
	var runAt, createdAt instant
	var batch optionalID
	var args, tags, origin raw
	var timeout int64
	var trace, limitKey text
	err = r.Scan(&c.ID, &c.LeaseSeq, &c.Service, &c.Kind, &c.Queue, &c.Priority, &runAt, &createdAt, &args,
		&c.ArgsSchema, &c.Attempt, &c.MaxRetries, &c.Crashes, &c.Suspect, &c.Started, &timeout, &c.KeepResult, &tags, &origin, &batch, &inputs,
		&c.Expired, &trace, &limitKey)
	if err != nil {
		return c, false, err
	}
	c.RunAt, c.CreatedAt, c.Args = runAt.Time, createdAt.Time, args
	c.Timeout = time.Duration(timeout) * time.Microsecond
	c.Tags, c.Origin, c.Batch = decodeTags(tags), decodeOrigin(origin), batch.ID
	c.Trace, c.LimitKey = string(trace), string(limitKey)
	return c, inputs, nil
}

// scanInfo reads id, service, kind, queue, state, reason, priority, run_at, created_at, finished_at, attempt,
// max_retries, crashes, lease_seq, worker, args, result, keep_result, error, tags, origin, batch_id, args_schema,
// expires_us, trace, cancel, limit_key.
func scanInfo(r rows) (jobrt.JobInfo, error) {
	var i jobrt.JobInfo
	var runAt, createdAt, finishedAt instant
	var worker, batch optionalID
	var args, result, tags, origin raw
	var reason, message, schema, trace, cancel, limitKey, key, fingerprint text
	var expires, timeout int64
	err := r.Scan(&i.ID, &i.Service, &i.Kind, &i.Queue, &i.State, &reason, &i.Priority, &runAt, &createdAt, &finishedAt,
		&i.Attempt, &i.MaxRetries, &i.Crashes, &i.LeaseSeq, &worker, &args, &result, &i.KeepResult, &message, &tags, &origin,
		&batch, &schema, &expires, &trace, &cancel, &limitKey, &timeout, &key, &fingerprint)
	if err != nil {
		return i, err
	}
	if key != "" {
		if i.UniqueKey, err = hex.DecodeString(string(key)); err != nil {
			return i, fmt.Errorf("unique key of %s: %w", i.ID, err)
		}
	}
	i.Timeout, i.Fingerprint = time.Duration(timeout)*time.Microsecond, string(fingerprint)
	i.RunAt, i.CreatedAt, i.FinishedAt = runAt.Time, createdAt.Time, finishedAt.Time
	i.Reason, i.Error = jobrt.DeadReason(reason), string(message)
	i.Worker, i.Args, i.Result = worker.ID, args, result
	i.Batch, i.ArgsSchema = batch.ID, string(schema)
	i.Expires = time.Duration(expires) * time.Microsecond
	i.Trace, i.CancelRequested, i.LimitKey = string(trace), string(cancel), string(limitKey)
	i.Tags, i.Origin = decodeTags(tags), decodeOrigin(origin)
	return i, nil
}

// scanAttempt reads lease_seq, attempt, outcome, error, stack, worker, started_at, ran_us, ended_at.
func scanAttempt(r rows) (jobrt.AttemptInfo, error) {
	var a jobrt.AttemptInfo
	var startedAt, endedAt instant
	var worker optionalID
	var ran int64
	err := r.Scan(&a.LeaseSeq, &a.Attempt, &a.Outcome, &a.Error, &a.Stack, &worker, &startedAt, &ran, &endedAt)
	a.Worker, a.StartedAt, a.EndedAt = worker.ID, startedAt.Time, endedAt.Time
	a.Ran = time.Duration(ran) * time.Microsecond
	return a, err
}

// scanParent reads parent, kind, condition, slot, state, reason, error, attempt, held, result.
func scanParent(r rows, child ...any) (jobrt.ParentOutcome, error) {
	var o jobrt.ParentOutcome
	var kind, state, reason, message text
	var result raw
	err := r.Scan(append(child, &o.ID, &kind, &o.On, &o.Slot, &state, &reason, &message, &o.Attempt, &o.Held, &result)...)
	o.Kind, o.State, o.Reason, o.Error = string(kind), jobrt.State(state), jobrt.DeadReason(reason), string(message)
	o.Result = result
	return o, err
}

// scanBatch reads id, service, name, within, state, cancelling, total, succeeded, cancelled, skipped, dead, created_at,
// finished_at, origin.
func scanBatch(r rows) (jobrt.BatchInfo, error) {
	var b jobrt.BatchInfo
	var within optionalID
	var cancelling text
	var createdAt, finishedAt instant
	var origin raw
	err := r.Scan(&b.ID, &b.Service, &b.Name, &within, &b.State, &cancelling, &b.Total, &b.Succeeded, &b.Cancelled,
		&b.Skipped, &b.Dead, &createdAt, &finishedAt, &origin)
	b.Within, b.Cancelling, b.Origin = within.ID, string(cancelling), decodeOrigin(origin)
	b.CreatedAt, b.FinishedAt = createdAt.Time, finishedAt.Time
	return b, err
}
