-- Where an entry lives for good, numbered without a gap. A month is a range of ids, so one key
-- partitions, sorts and pages.

CREATE TABLE audit_ledger (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    actor_id uuid,
    resource_id uuid,
    request_id uuid,
    seq bigint NOT NULL,
    resource_seq bigint NOT NULL,
    actor_seq bigint NOT NULL,
    ip inet,
    actor_type text NOT NULL,
    actor_label text NOT NULL,
    action text NOT NULL,
    resource_type text NOT NULL,
    resource_label text NOT NULL,
    result text NOT NULL,
    interface text NOT NULL,
    user_agent text NOT NULL,
    changes jsonb NOT NULL,
    context jsonb NOT NULL,
    -- Which parts were erased, as the sum of 1 << part (a_erasure.sql); null: none.
    erased_parts smallint,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);

CREATE INDEX audit_ledger_page ON audit_ledger (organization_id, id DESC);
-- The page that everybody opens leaves out who looked at the log. Where hardly anything else happens
-- it would read past all of that. `kinds.NO_VIEW` says the condition in the same words.
CREATE INDEX audit_ledger_shown ON audit_ledger (organization_id, id DESC) WHERE action <> 'view';
CREATE INDEX audit_ledger_actor
    ON audit_ledger (organization_id, actor_id, id DESC, action, resource_type);
CREATE INDEX audit_ledger_action ON audit_ledger (organization_id, action, id DESC);
-- Without its type: an id belongs to one type only.
CREATE INDEX audit_ledger_resource ON audit_ledger (organization_id, resource_id, id DESC);
-- A page of a rare type took 23 ms in 1.5 M entries without it, 4 ms with it, and seconds when
-- there was none for long.
CREATE INDEX audit_ledger_type ON audit_ledger (organization_id, resource_type, id DESC);
-- Refusals and failures are rare and much asked for. Without it their page reads the log until it
-- has found fifty; with it, it reads fifty. Nothing else is in it, so it costs next to nothing.
CREATE INDEX audit_ledger_unsuccessful ON audit_ledger (organization_id, result, id DESC)
    WHERE result <> 'success';
-- So are the ways that few entries come by.
CREATE INDEX audit_ledger_unusual ON audit_ledger (organization_id, interface, id DESC)
    WHERE interface IN ('admin', 'command', 'database');
-- An address seen once took 1.6 s in 10 M entries. Without the id, equal keys share one: 6 bytes an
-- entry. What is frequent is found sooner by the page's index.
CREATE INDEX audit_ledger_ip ON audit_ledger (organization_id, ip);

-- None is ever refused for want of a partition.
CREATE TABLE audit_ledger_default PARTITION OF audit_ledger DEFAULT;

-- How many entries each organization's log holds, and how many each resource and each actor has
-- in it: the next numbers. `kind` is 'resource' or 'actor'.
CREATE TABLE audit_log (
    organization_id uuid PRIMARY KEY,
    size bigint NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE audit_subject (
    organization_id uuid NOT NULL,
    kind text NOT NULL,
    type text NOT NULL,
    id uuid NOT NULL,
    size bigint NOT NULL,
    PRIMARY KEY (organization_id, kind, type, id)
) WITH (fillfactor = 70);

-- How names are compared: capitals do not count, nor how a letter and its accents are put together.
-- As long as an index allows.
CREATE FUNCTION audit_folded(name text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN left(lower(normalize(name, NFC) COLLATE "default"), 500);

-- What a person was called before and after a change of the person's row. Shorter than a key of an
-- index may be.
CREATE FUNCTION audit_names_of_person(type text, changes jsonb) RETURNS SETOF text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT left(name, 500) FROM unnest(ARRAY[changes #>> '{name,0}', changes #>> '{name,1}']) AS name
    WHERE type = 'user' AND name <> ''
$$;

-- The dictionary of names: what each resource and actor was ever called. Free text is looked up
-- here, never in the log. `kind` is 'resource', 'actor' or, for a name of a person whose label is an
-- address, 'person'.
CREATE TABLE audit_label (
    organization_id uuid NOT NULL,
    kind text NOT NULL,
    -- By bytes, so that a path and all below it is a range.
    label text COLLATE "C" NOT NULL,
    type text NOT NULL,
    id uuid NOT NULL,
    folded text COLLATE "C" NOT NULL GENERATED ALWAYS AS (audit_folded(label)) STORED,
    PRIMARY KEY (organization_id, kind, label, type, id)
);
CREATE INDEX audit_label_id ON audit_label (organization_id, id);
-- Which organizations know a person.
CREATE INDEX audit_label_person ON audit_label (id) WHERE type = 'user';
-- Which people an organization knows, to find them by the names they have today.
CREATE INDEX audit_label_people ON audit_label (organization_id, id) WHERE type = 'user';
CREATE INDEX audit_label_folded ON audit_label (organization_id, kind, folded);

-- The path of each thing, by ids: what it was called below what. Entries keep the path that a thing
-- had then; after something above it was renamed, this leads from the new name to it, and from it to
-- its present name. `name` is what the thing adds to the path of its parent, with the slash (`/api`;
-- nothing for the secret of a level); without a parent, all of its label. `named_by` is the newest
-- entry that says so: the thing has the name whose entry is newest.
CREATE TABLE audit_place (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    -- All zeros when there is none.
    parent_id uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    type text NOT NULL,
    named_by uuid NOT NULL,
    folded text COLLATE "C" NOT NULL GENERATED ALWAYS AS (audit_folded(name)) STORED,
    PRIMARY KEY (organization_id, id, name, parent_id)
) WITH (fillfactor = 90);
CREATE INDEX audit_place_parent ON audit_place (organization_id, parent_id);
CREATE INDEX audit_place_person ON audit_place (parent_id) WHERE type = 'membership';
CREATE INDEX audit_place_folded ON audit_place (organization_id, folded, parent_id);

{places}

-- Which fields the entries of each block of {field_block} numbers of a log changed, and between which
-- ids (audit/questions/field_index.py). The field '' is that of all its entries: it leads from numbers
-- to ids, where an index by number would take 40 bytes an entry (audit/questions/following.py).
-- Retention leaves it alone: a range may hold nothing any more.
CREATE TABLE audit_field (
    organization_id uuid NOT NULL,
    field text NOT NULL,
    block bigint NOT NULL,
    first_id uuid NOT NULL,
    last_id uuid NOT NULL,
    PRIMARY KEY (organization_id, field, block)
) WITH (fillfactor = 70);
CREATE INDEX audit_field_last ON audit_field (organization_id, field, last_id DESC);
CREATE INDEX audit_field_first ON audit_field (organization_id, field, first_id);

-- Where sealing stands. One row.
CREATE TABLE audit_sealing (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    -- Every entry of a transaction below it is sealed.
    lo xid8 NOT NULL DEFAULT '0',
    -- The cluster whose transaction ids `lo` counts; another one after a restore.
    system_identifier bigint NOT NULL,
    incarnation integer NOT NULL DEFAULT 1,
    sealed_at timestamptz NOT NULL DEFAULT now(),
    -- No entry of an earlier time can appear any more: all that there is, is sealed. As long as the
    -- server's clock is not set back, and but for what the owner of the tables dates itself.
    complete_to timestamptz NOT NULL DEFAULT '-infinity',
    -- Once all transactions below `mark` have ended, the log is complete to `mark_at`.
    mark xid8,
    mark_at timestamptz
);
INSERT INTO audit_sealing (system_identifier)
SELECT system_identifier FROM pg_control_system();

CREATE FUNCTION audit_refuse() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit: % on % is refused: entries are never changed or removed',
        TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER audit_append_only BEFORE UPDATE OR TRUNCATE ON audit_inbox
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
-- Sealing moves entries; nobody else takes one out: only what is the owner's and called by the
-- sealer may.
CREATE TRIGGER audit_only_sealing BEFORE DELETE ON audit_inbox
    FOR EACH STATEMENT WHEN (current_user <> '{owner}'
        OR NOT pg_has_role(session_user, '{sealer}', 'USAGE'))
    EXECUTE FUNCTION audit_refuse();
-- A count of repetitions goes up, one by one.
CREATE TRIGGER audit_only_counting BEFORE UPDATE OF repeats ON audit_repeat
    FOR EACH ROW WHEN (NEW.repeats <> OLD.repeats + 1) EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_append_only BEFORE DELETE ON audit_ledger
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();

-- An entry changes in one way: what `audit_erasure` says was erased of it is emptied.
CREATE FUNCTION audit_refuse_unless_erased() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    parts CONSTANT integer := (SELECT bit_or(1 << part) FROM audit_erasure
        WHERE organization_id = OLD.organization_id AND seq = OLD.seq);
    expected record := OLD;
BEGIN
    IF parts IS NOT NULL THEN
        expected.erased_parts := parts;
        IF parts & (1 | 16) > 0 THEN
            expected.actor_label := '';
        END IF;
        IF parts & (2 | 16) > 0 THEN
            expected.ip := NULL;
            expected.request_id := NULL;
            expected.user_agent := '';
        END IF;
        IF parts & (4 | 16) > 0 THEN
            expected.resource_label := '';
        END IF;
        IF parts & (8 | 16) > 0 THEN
            expected.changes := '{}';
            expected.context := '{}';
        END IF;
        IF NEW IS NOT DISTINCT FROM expected THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'audit: UPDATE on % is refused: entries are never changed or removed',
        TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_only_erasing BEFORE UPDATE ON audit_ledger
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_unless_erased();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_ledger
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_ledger_default
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

-- Make the monthly partitions from the month of `since` to the month of `until`, those that are
-- missing; returns how many it made. A month whose entries already lie in the default partition
-- stays there. Runs as the owner, for the sealer, which is kept from making so many that every
-- question is slow.
CREATE FUNCTION audit_ensure_partitions(since timestamptz, until timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    month timestamp;
    name text;
    first uuid;
    past uuid;
    made integer := 0;
BEGIN
    IF NOT pg_has_role(session_user, current_user, 'USAGE')
        AND (since < now() - interval '10 years' OR until > now() + interval '10 years') THEN
        RAISE EXCEPTION 'audit: the sealer makes partitions up to ten years from now'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    FOR month IN SELECT generate_series(
        date_trunc('month', since AT TIME ZONE 'UTC'),
        date_trunc('month', until AT TIME ZONE 'UTC'), interval '1 month')
    LOOP
        name := 'audit_ledger_' || to_char(month, 'YYYY_MM');
        first := audit_uuid7_floor(month AT TIME ZONE 'UTC');
        past := audit_uuid7_floor((month + interval '1 month') AT TIME ZONE 'UTC');
        CONTINUE WHEN to_regclass('public.' || name) IS NOT NULL
            -- The quarter or the year that it was merged into.
            OR to_regclass('public.audit_ledger_' || to_char(month, 'YYYY"_q"Q')) IS NOT NULL
            OR to_regclass('public.audit_ledger_' || to_char(month, 'YYYY')) IS NOT NULL;
        CONTINUE WHEN EXISTS (SELECT FROM audit_ledger_default WHERE id >= first AND id < past);
        EXECUTE format('CREATE TABLE public.%I PARTITION OF public.audit_ledger'
                       ' FOR VALUES FROM (%L) TO (%L)', name, first, past);
        EXECUTE format('CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON public.%I'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()', name);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

SELECT audit_ensure_partitions(now(), now() + interval '3 months');
