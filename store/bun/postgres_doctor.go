package bunstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// oldestXID is the age of transaction ids, in transactions, from which on it is high time: the server stops at 2^31.
const oldestXID = 1_500_000_000

// diagnose implements dialect.
func (p *postgres) diagnose() []diagnosis {
	return []diagnosis{
		{"settings", p.doctorSettings}, {"connections", p.doctorConnections}, {"clock", p.doctorClock}, {"bloat", p.doctorBloat},
		{"transactions", p.doctorTransactions}, {"partitions", p.doctorPartitions}, {"isolation", p.doctorIsolation}, {"duties", p.doctorDuties},
	}
}

// doctorSettings looks at what an administrator may have set in a way that loses or delays jobs.
func (p *postgres) doctorSettings(ctx context.Context, r *report) error {
	value := make(map[string]string)
	err := collect(ctx, p.own(), func(rows rows) error {
		var name, setting string
		if err := rows.Scan(&name, &setting); err != nil {
			return err
		}
		value[name] = setting
		return nil
	}, `SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'autovacuum', 'track_counts',
		'idle_in_transaction_session_timeout', 'statement_timeout', 'server_version')`)
	if err != nil {
		return err
	}
	for _, s := range []struct {
		name, bad, why, do string
	}{
		{"fsync", "off", "a crash of the machine may destroy the database with all jobs", "set fsync = on"},
		{"full_page_writes", "off", "a crash of the machine may destroy the database with all jobs", "set full_page_writes = on"},
		{"synchronous_commit", "off", "a crash of the server takes back jobs that were acknowledged", "set synchronous_commit = on for this role or database"},
		{"autovacuum", "off", "dead rows pile up, claims become slow, and one day the server stops for want of transaction ids", "set autovacuum = on"},
		{"track_counts", "off", "autovacuum does not work without it", "set track_counts = on"},
	} {
		if value[s.name] == s.bad {
			r.add(jobrt.SeverityError, "", s.name+" is "+s.bad, s.why, s.do)
		}
	}
	if value["idle_in_transaction_session_timeout"] == "0" {
		r.add(jobrt.SeverityNote, "", "idle_in_transaction_session_timeout is 0",
			"a transaction that a program has forgotten keeps dead rows, and its locks, for ever", "set it to some minutes for the application's roles")
	}
	if ms := value["statement_timeout"]; ms != "0" && len(ms) < 4 {
		r.add(jobrt.SeverityWarning, "", "statement_timeout is "+ms+" ms", "statements of workers are cut off where the database is slow for a moment", "set it to 10 s or more for this role")
	}
	if p.pooled {
		r.add(jobrt.SeverityNote, "", "a pooler in transaction mode stands before the server",
			"workers can't LISTEN through it: they hear of new jobs and of operators by polling, within a second", "give workers the server's own address where that is too slow")
	}
	unfit := ""
	_, err = first(ctx, p.own(), []any{&unfit}, `
		SELECT coalesce(string_agg(c.relname::text, ', ' ORDER BY c.relname), '') FROM pg_class c
		WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass($1::text)) AND c.relname LIKE $2::text
			AND c.relkind = 'r' AND 'autovacuum_enabled=false' = ANY (c.reloptions)`, p.n.table("jobs"), p.likeOwn())
	if err == nil && unfit != "" {
		r.add(jobrt.SeverityError, "", "autovacuum is switched off for "+unfit, "dead rows pile up, and claims become slow", "ALTER TABLE … RESET (autovacuum_enabled)")
	}
	return err
}

// likeOwn is the pattern of this store's tables for LIKE.
func (p *postgres) likeOwn() string { return strings.ReplaceAll(p.n.prefix, "_", `\_`) + "%" }

// doctorConnections compares connections with their limit.
func (p *postgres) doctorConnections(ctx context.Context, r *report) error {
	var used, most int
	var queue float64
	_, err := first(ctx, p.own(), []any{&used, &most, &queue}, `
		SELECT (SELECT sum(numbackends) FROM pg_stat_database WHERE datid <> 0)::integer,
			current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer,
			pg_notification_queue_usage()`)
	if err != nil {
		return err
	}
	if used*10 > most*8 {
		severity := jobrt.SeverityWarning
		if used >= most {
			severity = jobrt.SeverityError
		}
		r.add(severity, "", fmt.Sprintf("%d of %d connections are in use", used, most),
			"a worker that can't connect after a restart runs nothing; one keeps the connections for its lease, but needs others for the rest",
			"make pools smaller (Config.MaxConns), put a pooler in between, or raise max_connections")
	}
	if queue > .5 {
		r.add(jobrt.SeverityWarning, "", fmt.Sprintf("the queue of notifications is %.0f%% full", 100*queue),
			"when it is full, commits that notify fail", "end the session that listens within a long transaction: see pg_stat_activity")
	}
	return nil
}

// doctorClock compares the server's clock with this machine's.
func (p *postgres) doctorClock(ctx context.Context, r *report) error {
	var there instant
	before := time.Now()
	if _, err := first(ctx, p.own(), []any{&there}, `SELECT clock_timestamp()`); err != nil {
		return err
	}
	took := time.Since(before)
	r.sayClock(there.Sub(before.Add(took/2)), took)
	return nil
}

// doctorBloat looks at dead rows, at indexes that are not valid and at the age of transaction ids.
func (p *postgres) doctorBloat(ctx context.Context, r *report) error {
	err := collect(ctx, p.own(), func(rows rows) error {
		var name string
		var live, dead, size int64
		if err := rows.Scan(&name, &live, &dead, &size); err != nil {
			return err
		}
		r.add(jobrt.SeverityWarning, "", fmt.Sprintf("table %s has %d dead rows beside %d live ones, %s in all", name, dead, live, sizeText(size)),
			"claims and enqueues walk over them", "look for what keeps them (the check transactions), then VACUUM "+name)
		return nil
	}, `SELECT s.relname::text, s.n_live_tup, s.n_dead_tup, pg_total_relation_size(s.relid) FROM pg_stat_user_tables s
		WHERE s.relid IN (SELECT oid FROM pg_class WHERE relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass($1::text))
			AND relname LIKE $2::text) AND s.n_dead_tup > $3::bigint AND s.n_dead_tup > s.n_live_tup`, p.n.table("jobs"), p.likeOwn(), bloatedTable)
	if err != nil {
		return err
	}
	var invalid string
	var age int64
	_, err = first(ctx, p.own(), []any{&invalid, &age}, `
		SELECT (SELECT coalesce(string_agg(i.indexrelid::regclass::text, ', '), '') FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
			WHERE NOT i.indisvalid AND c.relkind = 'r' AND c.relname LIKE $2::text
				AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass($1::text))),
			(SELECT age(datfrozenxid)::bigint FROM pg_database WHERE datname = current_database())`, p.n.table("jobs"), p.likeOwn())
	if err != nil {
		return err
	}
	if invalid != "" {
		r.add(jobrt.SeverityError, "", "indexes are not valid: "+invalid, "statements that need them read whole tables", "REINDEX INDEX each of them")
	}
	if age > oldestXID {
		r.add(jobrt.SeverityError, "", fmt.Sprintf("the oldest transaction id is %d transactions old", age), "at 2.1 thousand million the server takes no more writes",
			"end what keeps old rows (the check transactions), then VACUUM the database")
	}
	return nil
}

// doctorTransactions looks for what keeps dead rows from being removed, in the whole server.
func (p *postgres) doctorTransactions(ctx context.Context, r *report) error {
	err := collect(ctx, p.own(), func(rows rows) error {
		var what string
		var seconds float64
		if err := rows.Scan(&what, &seconds); err != nil {
			return err
		}
		r.add(jobrt.SeverityWarning, "", fmt.Sprintf("%s has been open for %v", what, (time.Duration(seconds)*time.Second).Round(time.Second)),
			"no row that died since can be removed: claims become slow", "end it: SELECT pg_terminate_backend(pid), ROLLBACK PREPARED or pg_drop_replication_slot")
		return nil
	}, `SELECT what, age FROM (
			SELECT format('transaction of %s (%s, pid %s, %s)', usename, coalesce(nullif(application_name, ''), 'unnamed'), pid, state) AS what,
				extract(epoch FROM statement_timestamp() - xact_start)::float8 AS age
			FROM pg_stat_activity WHERE backend_xmin IS NOT NULL OR backend_xid IS NOT NULL
			UNION ALL
			SELECT format('prepared transaction %s', gid), extract(epoch FROM statement_timestamp() - prepared)::float8 FROM pg_prepared_xacts
		) x WHERE age > $1::float8 ORDER BY age DESC LIMIT 5`, longTransaction.Seconds())
	if err != nil {
		return err
	}
	return collect(ctx, p.own(), func(rows rows) error {
		var name string
		var age int64
		if err := rows.Scan(&name, &age); err != nil {
			return err
		}
		r.add(jobrt.SeverityWarning, "", fmt.Sprintf("replication slot %s keeps rows of the last %d transactions", name, age),
			"no row that died since can be removed: claims become slow", "start its reader, or pg_drop_replication_slot")
		return nil
	}, `SELECT slot_name::text, greatest(age(xmin), age(catalog_xmin))::bigint FROM pg_replication_slots
		WHERE greatest(age(xmin), age(catalog_xmin)) > 1000000`)
}

// doctorPartitions looks at history's days.
func (p *postgres) doctorPartitions(ctx context.Context, r *report) error {
	var now instant
	var strays bool
	_, err := first(ctx, p.own(), []any{&now, &strays}, p.n.sql(`SELECT statement_timestamp(), EXISTS (SELECT FROM {history}_default)`))
	if err != nil {
		return err
	}
	days, err := p.partitions(ctx, p.own())
	if err != nil {
		return err
	}
	missing := 0
	today := now.Truncate(24 * time.Hour)
	for i := range 2 {
		if _, there := days[partitionName(today.AddDate(0, 0, i))]; !there {
			missing++
		}
	}
	if missing > 0 {
		r.add(jobrt.SeverityWarning, "", fmt.Sprintf("history has no partition for %d of today and tomorrow", missing),
			"ended jobs go into its default partition, from which they are deleted row by row", "start a worker: its upkeep makes the next 30 days; or look in its log for why it can't")
	}
	if strays {
		r.add(jobrt.SeverityNote, "", "history's default partition has rows",
			"they are of jobs whose ids carry no time within the kept days, or of days without a partition; they are deleted row by row", "nothing, unless they are many")
	}
	return nil
}

// doctorIsolation looks at what else lives in this database.
func (p *postgres) doctorIsolation(ctx context.Context, r *report) error {
	var tables, size, writes, own int64
	_, err := first(ctx, p.own(), []any{&tables, &size, &writes, &own}, `
		WITH t AS (
			SELECT s.relid, s.n_tup_ins + s.n_tup_upd + s.n_tup_del AS writes,
				s.relname LIKE $2::text AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass($1::text)) AS own
			FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid)
		SELECT count(*) FILTER (WHERE NOT own), coalesce(sum(pg_table_size(relid)) FILTER (WHERE NOT own), 0)::bigint,
			coalesce(sum(writes) FILTER (WHERE NOT own), 0)::bigint, coalesce(sum(writes) FILTER (WHERE own), 0)::bigint FROM t`,
		p.n.table("jobs"), p.likeOwn())
	if err != nil || tables == 0 {
		return err
	}
	what := fmt.Sprintf("the jobs share their database with tables of others: %d, %s", tables, sizeText(size))
	const why = "an enqueue can be part of the application's transactions; in return long transactions, backups and load of either slow down both"
	if size > crowded || writes > 10*own && writes > 10_000_000 {
		r.add(jobrt.SeverityWarning, "", what, why, "when that hurts: a database of the jobs' own, with enqueues through the outbox (docs/databases.md)")
		return nil
	}
	r.add(jobrt.SeverityNote, "", what, why, "")
	return nil
}

// doctorDuties looks for upkeep that nobody does though workers live.
func (p *postgres) doctorDuties(ctx context.Context, r *report) error {
	return collect(ctx, p.own(), func(rows rows) error {
		var name string
		var late float64
		if err := rows.Scan(&name, &late); err != nil {
			return err
		}
		r.sayStuck(name, time.Duration(late*float64(time.Second)))
		return nil
	}, p.n.sql(`SELECT name, extract(epoch FROM statement_timestamp() - next_at)::float8 FROM {duties}
		WHERE next_at < statement_timestamp() - $1::float8 * interval '1 second' AND name NOT LIKE '% %'
			AND EXISTS (SELECT FROM {workers} WHERE lease_until > statement_timestamp() AND started_at < statement_timestamp() - $1::float8 * interval '1 second')
		ORDER BY name`), lateDuty.Seconds())
}
