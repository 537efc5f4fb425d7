-- Entries ever sealed, of all organizations together, so that a metric can count them by action. The
-- sealer alone adds to it: writers of entries would wait for each other.
CREATE TABLE audit_count (
    action text NOT NULL,
    result text NOT NULL,
    size bigint NOT NULL,
    PRIMARY KEY (action, result)
) WITH (fillfactor = 70);

-- How the log is, in figures that name no organization: for health checks and metrics. Runs as
-- the owner, as the tenant scope hides most of it from everybody else. Costs the same in a
-- log of any size.
CREATE FUNCTION audit_state(most_counted integer, OUT now timestamptz, OUT sealed_at timestamptz,
    OUT oldest_unsealed uuid, OUT unsealed bigint, OUT inbox_bytes bigint,
    OUT sealed bigint, OUT ledger_bytes bigint, OUT partitions_until timestamptz,
    OUT wal bigint, OUT replayed_at timestamptz)
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT clock_timestamp(), s.sealed_at,
        -- Sealed ones, which wait for vacuum, lie below `lo`.
        (SELECT id FROM audit_inbox WHERE xid >= s.lo ORDER BY xid LIMIT 1),
        (SELECT count(*) FROM (
            SELECT FROM audit_inbox WHERE xid >= s.lo LIMIT most_counted) AS waiting),
        pg_total_relation_size('audit_inbox'),
        (SELECT COALESCE(sum(size), 0)::bigint FROM audit_log),
        (SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits
            WHERE inhparent = 'audit_ledger'::regclass),
        -- The first month without a partition of its own.
        (SELECT min(month) AT TIME ZONE 'UTC' FROM generate_series(
            date_trunc('month', now() AT TIME ZONE 'UTC'),
            date_trunc('month', now() AT TIME ZONE 'UTC') + interval '25 months',
            interval '1 month') AS month
            WHERE to_regclass('public.audit_ledger_' || to_char(month, 'YYYY_MM')) IS NULL),
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END
            - '0/0'::pg_lsn,
        pg_last_xact_replay_timestamp()
    FROM audit_sealing AS s
$$;
