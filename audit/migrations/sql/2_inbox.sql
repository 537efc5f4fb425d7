-- Where the entry of a change is inserted, by the statement that makes the change.
-- Small, unpartitioned, with no more indexes than are needed. No key is unique here, so no writer
-- ever waits for another.

-- Whether an entry of this action says that a row changed: the database alone enters those.
CREATE FUNCTION audit_is_of_row(action text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN action IN ({row_actions});

-- Whether readers can take what an entry says beside its columns: an object of a size that a page of
-- entries can hold, not nested deeper than parsers of JSON read, without numbers that are no safe
-- integers (RFC 8785 writes them otherwise than PostgreSQL does). One entry that cannot be parsed
-- would make every list that holds it fail, for good. The depth comes before the numbers, which are
-- looked for level by level.
CREATE FUNCTION audit_is_readable(context jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN jsonb_typeof(context) <> 'object' OR octet_length(context::text) > 100000
            OR COALESCE(jsonb_typeof(context -> 'repeats'), 'number') <> 'number'
            OR jsonb_path_exists(context, '$.**{20}') THEN false
        WHEN jsonb_path_exists(context, '$.** ? (@.type() == "number")')
        THEN audit_recordable(context) = context
        ELSE true
    END;

CREATE TABLE audit_inbox (
    -- The clock is read when the transaction has its number: whoever knows that all transactions up
    -- to a number have ended knows that nothing older can appear any more (`complete_to`).
    id uuid NOT NULL DEFAULT audit_uuid7(
        CASE WHEN pg_current_xact_id() IS NOT NULL THEN clock_timestamp() END),
    -- The top-level transaction: xmin would be the savepoint's.
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    organization_id uuid NOT NULL,
    actor_id uuid,
    resource_id uuid,
    request_id uuid,
    ip inet,
    actor_type text NOT NULL,
    actor_label text NOT NULL,
    action text NOT NULL,
    resource_type text NOT NULL,
    resource_label text NOT NULL,
    result text NOT NULL DEFAULT 'success',
    interface text NOT NULL,
    user_agent text NOT NULL DEFAULT '',
    changes jsonb NOT NULL DEFAULT '{}',
    context jsonb NOT NULL DEFAULT '{}'
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

-- What the application may enter itself, and that it fits. The owner, as whom the triggers of audited
-- tables enter what changed, is exempt from policies: as constraints, which are made ready anew for
-- each statement, these took a third of the time of an entry.
ALTER TABLE audit_inbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_write ON audit_inbox FOR INSERT WITH CHECK (true);
-- Only the triggers say that a row changed, and speak for the database: an entry with changes is
-- proof of them.
CREATE POLICY audit_events_only ON audit_inbox AS RESTRICTIVE FOR INSERT WITH CHECK (
    changes = '{}' AND NOT audit_is_of_row(action)
    AND actor_type <> 'database' AND interface <> 'database');
-- One entry that does not fit the ledger's indexes would hold up the sealing of all others.
CREATE POLICY audit_can_be_sealed ON audit_inbox AS RESTRICTIVE FOR INSERT WITH CHECK (
    octet_length(resource_label) <= 2000 AND octet_length(actor_label) <= 2000
    AND greatest(octet_length(actor_type), octet_length(action), octet_length(resource_type),
        octet_length(result), octet_length(interface)) <= 100
    AND octet_length(user_agent) <= 4000 AND audit_is_readable(context));
-- What the application enters has passed through redaction, as what the triggers enter does.
CREATE POLICY audit_is_redacted ON audit_inbox AS RESTRICTIVE FOR INSERT WITH CHECK (
    NOT concat_ws(' ', resource_label, actor_label, user_agent, action, resource_type, actor_type,
        result, interface, context::text) {like_any_secret}
    OR (audit_redacted_json(context) = context
        AND audit_is_redacted(resource_label, actor_label, user_agent, action, resource_type,
            actor_type, result, interface)));

CREATE INDEX audit_inbox_sealing ON audit_inbox (xid);
-- Read backwards, as ids grow: each new one goes to the right edge.
CREATE INDEX audit_inbox_page ON audit_inbox (organization_id, id);
-- It has no key by which a subscriber would find what is sealed: without this, any publication that
-- covers it (FOR ALL TABLES) makes PostgreSQL refuse the sealer's DELETE.
ALTER TABLE audit_inbox REPLICA IDENTITY FULL;

-- An entry kept as JSON, back as a row.
CREATE FUNCTION audit_as_row(entry jsonb) RETURNS TABLE (
    organization_id uuid, actor_id uuid, resource_id uuid, request_id uuid, ip inet,
    actor_type text, actor_label text, action text, resource_type text, resource_label text,
    result text, interface text, user_agent text, changes jsonb, context jsonb
) LANGUAGE sql IMMUTABLE BEGIN ATOMIC
    SELECT * FROM jsonb_to_record(entry) AS e (
        organization_id uuid, actor_id uuid, resource_id uuid, request_id uuid, ip inet,
        actor_type text, actor_label text, action text, resource_type text, resource_label text,
        result text, interface text, user_agent text, changes jsonb, context jsonb);
END;

-- Whether the application may enter it itself, as the policies of the inbox say.
CREATE FUNCTION audit_is_enterable(entry jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE BEGIN ATOMIC
    SELECT num_nulls(e.organization_id, e.actor_type, e.actor_label, e.action, e.resource_type,
            e.resource_label, e.result, e.interface, e.user_agent, e.changes, e.context) = 0
        AND e.actor_type <> 'database' AND e.interface <> 'database'
        AND octet_length(e.resource_label) <= 2000 AND octet_length(e.actor_label) <= 2000
        AND greatest(octet_length(e.actor_type), octet_length(e.action),
            octet_length(e.resource_type), octet_length(e.result), octet_length(e.interface)) <= 100
        AND e.changes = '{}' AND NOT audit_is_of_row(e.action)
        AND octet_length(e.user_agent) <= 4000 AND audit_is_readable(e.context)
        AND audit_redacted_json(e.context) = e.context
        AND audit_is_redacted(e.resource_label, e.actor_label, e.user_agent, e.action,
            e.resource_type, e.actor_type, e.result, e.interface)
    FROM audit_as_row(entry) AS e;
END;

-- Repetitions within a minute are counted here and entered when the minute is over. What the
-- application writes here the owner enters: it is held to what the application may enter itself.
CREATE TABLE audit_repeat (
    key bytea NOT NULL,
    minute timestamptz NOT NULL,
    repeats integer NOT NULL DEFAULT 0,
    entry jsonb NOT NULL,
    PRIMARY KEY (key, minute),
    CONSTRAINT audit_repeat_can_be_entered CHECK (audit_is_enterable(entry))
);

-- Enter the counts of minutes that are over. Runs as the owner: the sealer, who calls it, may
-- not insert into the inbox.
CREATE FUNCTION audit_flush_repeats() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH over AS (
        DELETE FROM audit_repeat WHERE minute < date_trunc('minute', now()) RETURNING *
    ), entered AS (
        INSERT INTO audit_inbox (organization_id, actor_id, resource_id, request_id, ip,
            actor_type, actor_label, action, resource_type, resource_label, result, interface,
            user_agent, changes, context)
        SELECT e.organization_id, e.actor_id, e.resource_id, e.request_id, e.ip, e.actor_type,
            e.actor_label, e.action, e.resource_type, e.resource_label, e.result, e.interface,
            e.user_agent, e.changes, e.context || jsonb_build_object('repeats', over.repeats)
        FROM over, audit_as_row(over.entry) AS e WHERE over.repeats > 0
        RETURNING 1
    ) SELECT count(*) FROM entered
$$;

-- Enter in the platform's own log that sealing began, or began anew after a restore; or that the
-- worker's memory of what was signed was made anew of the database.
CREATE FUNCTION audit_enter_sealing(why text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF why IS NULL OR why NOT IN ('started', 'new_incarnation', 'memory_made_anew') THEN
        RAISE EXCEPTION 'audit: sealing begins as started or new_incarnation, not as %', why
            USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO audit_inbox (organization_id, actor_type, actor_label, action, resource_type,
        resource_label, interface, context)
    VALUES ('00000000-0000-0000-0000-000000000000', 'system', session_user, 'seal', 'audit_log',
        'all', 'command', jsonb_build_object('reason', why));
END $$;
