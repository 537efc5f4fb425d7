-- What the triggers of audited tables share (audit/capture/triggers.py makes those from the policy):
-- the words of a statement, and who has left in this transaction. Only the owner may run these
-- functions, and only the triggers do, whose search path they use.

CREATE TYPE audit_words AS (
    actor_type text, actor_id uuid, actor_label text, interface text, ip inet, user_agent text,
    request_id uuid, verb text, facts jsonb, context jsonb, at timestamptz);

-- Words without what is a secret by its form.
CREATE FUNCTION audit_redacted_words(words audit_words) RETURNS audit_words
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    words.actor_label := audit_redacted(words.actor_label);
    words.user_agent := audit_redacted(words.user_agent);
    words.actor_type := audit_redacted(words.actor_type);
    words.interface := audit_redacted(words.interface);
    words.context := audit_redacted_json(words.context);
    words.facts := audit_redacted_json(words.facts);
    RETURN words;
END $$;
REVOKE EXECUTE ON FUNCTION audit_redacted_words(audit_words) FROM PUBLIC;

-- Words that a statement said of itself, redacted. Refused: to act as the database, what could not
-- be sealed or read, and a time chosen by anybody but the owner.
CREATE FUNCTION audit_checked(words audit_words, said text) RETURNS audit_words
LANGUAGE plpgsql AS $$
BEGIN
    IF words.actor_type = 'database' OR words.interface = 'database' THEN
        RAISE EXCEPTION 'audit: a statement cannot act as the database'
            USING ERRCODE = 'check_violation';
    ELSIF octet_length(words.actor_label) > 2000 OR octet_length(words.actor_type) > 100
        OR octet_length(words.interface) > 100 OR octet_length(said) > 100000
        OR words.context <> '{}' AND NOT audit_is_readable(words.context)
        OR words.facts IS NOT NULL AND NOT audit_is_readable(words.facts)
    THEN
        RAISE EXCEPTION 'audit: the words of this statement could not be sealed or read'
            USING ERRCODE = 'check_violation';
    ELSIF words.at IS NOT NULL AND NOT pg_has_role(session_user, current_user, 'USAGE') THEN
        RAISE EXCEPTION 'audit: only the owner of the tables may choose the time of an entry'
            USING ERRCODE = 'insufficient_privilege';
    -- Not `said`: in a JSON string, each character can be written in several ways.
    ELSIF concat_ws(' ', words.actor_label, words.user_agent, words.actor_type, words.interface,
        words.context::text, words.facts::text) {like_any_secret}
    THEN
        RETURN audit_redacted_words(words);
    END IF;
    RETURN words;
END $$;
REVOKE EXECUTE ON FUNCTION audit_checked(audit_words, text) FROM PUBLIC;

-- Who acts, to what end and from where: as the statement under way says itself, or, when a reason
-- is named, the role of the database session. NULL when nobody says.
--
-- A statement leaves its words in `audit.act`, behind its own time. Words of an earlier statement,
-- of a session's setting or of a role's default have another time and are not used. A time takes 17
-- characters until 2286.
CREATE FUNCTION audit_said() RETURNS audit_words
LANGUAGE plpgsql AS $$
DECLARE
    said text := current_setting('audit.act', true);
    reason text;
    words audit_words;
BEGIN
    IF starts_with(said, extract(epoch FROM statement_timestamp())::text) THEN
        words := jsonb_populate_record(
            ROW(NULL, NULL, NULL, NULL, NULL, '', NULL, NULL, NULL, '{}', NULL)::audit_words,
            substr(said, 18)::jsonb);
        -- Asked here: the triggers run as the owner, whom no policy of the inbox keeps from it. What
        -- most statements say passes one condition of few functions, as each costs a save a
        -- microsecond.
        IF words.actor_type = 'database' OR words.interface = 'database' OR words.at IS NOT NULL
            OR words.facts IS NOT NULL OR words.context <> '{}' OR octet_length(said) > 2000
            OR octet_length(words.actor_type || words.interface) > 100
            OR concat_ws(' ', words.actor_label, words.user_agent, words.actor_type,
                words.interface) {like_any_secret}
        THEN
            words := audit_checked(words, said);
        END IF;
    ELSE
        reason := btrim(COALESCE(current_setting('audit.reason', true), ''));
        IF reason = '' THEN
            RETURN NULL;
        END IF;
        words.actor_type := 'database';
        words.actor_label := session_user;
        words.interface := 'database';
        words.ip := inet_client_addr();
        words.user_agent := COALESCE(current_setting('application_name', true), '');
        words.context := jsonb_build_object('reason', left(reason, 500));
        words := audit_redacted_words(words);
    END IF;
    RETURN words;
END $$;
REVOKE EXECUTE ON FUNCTION audit_said() FROM PUBLIC;

-- One id for a statement of several entries, counted on: random bits for each were a third of its
-- cost. 16 digits that all share, and where to count on from; the bit that is cleared leaves room. At
-- the time that the words chose, or now.
CREATE FUNCTION audit_first_id(at timestamptz, OUT head text, OUT tail bigint)
LANGUAGE plpgsql AS $$
DECLARE
    made CONSTANT text := translate(
        audit_uuid7(COALESCE(at, clock_timestamp()))::text, '-', '');
BEGIN
    head := left(made, 16);
    tail := ('x' || substr(made, 17))::bit(64)::bigint & (-2305843009213693953);
END $$;
REVOKE EXECUTE ON FUNCTION audit_first_id(timestamptz) FROM PUBLIC;

-- Those of `facts` that an entry may carry, beside what it carries anyway.
CREATE FUNCTION audit_context(context jsonb, facts jsonb, allowed text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN context || COALESCE((SELECT jsonb_object_agg(key, value) FROM jsonb_each(facts)
                                WHERE key = ANY (allowed)), '{}');
END $$;
REVOKE EXECUTE ON FUNCTION audit_context(jsonb, jsonb, text[]) FROM PUBLIC;

-- What a resource was called last, when what it is named after is gone. A function, so that a plan
-- over all partitions is made only when it is asked.
CREATE FUNCTION audit_last_name(organization uuid, type text, resource uuid) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT e.resource_label FROM audit_entry e
            WHERE e.organization_id = organization AND e.resource_id = resource
            AND e.resource_type = type ORDER BY e.id DESC LIMIT 1);
END $$;
REVOKE EXECUTE ON FUNCTION audit_last_name(uuid, text, uuid) FROM PUBLIC;

-- Who left which organization in a transaction that may still run: what changes of them later in it
-- is entered in the log of that organization too. The sealer empties it.
CREATE TABLE audit_left (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    person_id uuid NOT NULL,
    organization_id uuid NOT NULL
);
CREATE INDEX audit_left_person ON audit_left (person_id, xid);
-- As the inbox.
ALTER TABLE audit_left REPLICA IDENTITY FULL;

-- Before the row goes: one statement may end a membership and change the person, in either order.
CREATE FUNCTION audit_note_leaving() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO audit_left (person_id, organization_id) VALUES (OLD.user_id, OLD.organization_id);
    RETURN OLD;
END $$;
REVOKE EXECUTE ON FUNCTION audit_note_leaving() FROM PUBLIC;

-- Refuse that a row becomes another one, or another's. Arguments: what never changes, in words, and
-- the key's column.
CREATE FUNCTION audit_refuse_move() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit: % % never changes', TG_ARGV[0], to_jsonb(OLD) ->> TG_ARGV[1]
        USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME,
        HINT = 'No entry could describe it: remove the row and add another.';
END $$;

-- What an entry says that changed, redacted. Refused: more than readers of the entry can take
-- (audit/entry/recorded_json.py), who would be told no more than that something changed.
CREATE FUNCTION audit_recorded(changes jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
    -- Before the rest, which may take long.
    PERFORM audit_refuse_size(changes);
    IF jsonb_path_exists(changes, 'strict $.**{{deepest}}') THEN
        RAISE EXCEPTION 'audit: the entry of this change would be nested deeper than {deepest} levels'
            USING ERRCODE = 'check_violation';
    END IF;
    changes := audit_redacted_json(changes);
    PERFORM audit_refuse_size(changes);
    RETURN changes;
END $$;
REVOKE EXECUTE ON FUNCTION audit_recorded(jsonb) FROM PUBLIC;

CREATE FUNCTION audit_refuse_size(changes jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF octet_length(changes::text) > {longest} THEN
        RAISE EXCEPTION 'audit: the entry of this change would be larger than 1 MiB'
            USING ERRCODE = 'check_violation';
    END IF;
END $$;
REVOKE EXECUTE ON FUNCTION audit_refuse_size(jsonb) FROM PUBLIC;
