-- Evidence: one Merkle tree a log, of which hashes, salts and signed checkpoints are kept. What hashes
-- are made of is read from the ledger, by a worker in a process of its own (audit/evidence/). It has
-- the sealer's role, calls the functions below and has no right to any table; nothing here can be
-- changed once it is written, and a tree only grows.

-- Hashes of the tree as tiles have them (C2SP tlog-tiles). A row is a run of one tile, from `first`; one
-- that became full is one row.
CREATE TABLE audit_tile (
    organization_id uuid NOT NULL,
    level smallint NOT NULL,
    n bigint NOT NULL,
    first smallint NOT NULL,
    hashes bytea NOT NULL CHECK (octet_length(hashes) BETWEEN 32 AND 8192 AND octet_length(hashes) % 32 = 0),
    PRIMARY KEY (organization_id, level, n, first)
);
ALTER TABLE audit_tile ALTER hashes SET STORAGE EXTERNAL;

-- Salts, 16 bytes an entry, in runs as those of tiles of level 0. Apart from them: tiles are for whoever
-- may read the log, salts go with values.
CREATE TABLE audit_salt (
    organization_id uuid NOT NULL,
    n bigint NOT NULL,
    first smallint NOT NULL,
    salts bytea NOT NULL CHECK (octet_length(salts) BETWEEN 16 AND 4096 AND octet_length(salts) % 16 = 0),
    PRIMARY KEY (organization_id, n, first)
);
ALTER TABLE audit_salt ALTER salts SET STORAGE EXTERNAL;

-- The index of 256 entries: what its record is made of. index_root: of all blocks up to this one, which
-- the next leaf commits to.
CREATE TABLE audit_block (
    organization_id uuid NOT NULL,
    n bigint NOT NULL,
    -- Entries that were not removed before evidence began.
    entries integer NOT NULL CHECK (entries BETWEEN 0 AND 256),
    -- Earliest and latest time of them, in milliseconds.
    since bigint NOT NULL,
    until bigint NOT NULL,
    keys integer NOT NULL,
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    index_root bytea NOT NULL CHECK (octet_length(index_root) = 32),
    -- Its keys, once not all of its leaves are known any more: of each the hash, the number of
    -- postings in 16 bits, and the postings.
    keys_kept bytea,
    PRIMARY KEY (organization_id, n)
);
ALTER TABLE audit_block ALTER keys_kept SET STORAGE EXTERNAL;

-- How far the tree of each log is. edge, index_edge: the roots of its full subtrees, left to right.
CREATE TABLE audit_head (
    organization_id uuid PRIMARY KEY,
    size bigint NOT NULL CHECK (size > 0),
    edge bytea NOT NULL,
    index_edge bytea NOT NULL,
    advanced_at timestamptz NOT NULL DEFAULT now(),
    -- The size that was signed last, when, and by which key; 0: none yet.
    signed bigint NOT NULL DEFAULT 0,
    signed_at timestamptz NOT NULL DEFAULT '-infinity',
    signing_key integer NOT NULL DEFAULT 0,
    CHECK (signed <= size)
) WITH (fillfactor = 50);

-- Leaf data that the ledger cannot give any more: the entry left before its block was full, whose
-- index needs it, or what changed was erased, which the leaf may have a part of. Of a leaf that is
-- withheld before its block is full, its time and the hashes of its keys.
CREATE TABLE audit_leaf_kept (
    organization_id uuid NOT NULL,
    seq bigint NOT NULL,
    leaf bytea,
    time bigint,
    keys bytea CHECK (octet_length(keys) % 32 = 0),
    PRIMARY KEY (organization_id, seq),
    CHECK (num_nonnulls(leaf, keys) = 1 AND (keys IS NULL) = (time IS NULL))
);

-- Checkpoints that were signed. Kept are the first of each minute, and each that was given to somebody.
CREATE TABLE audit_checkpoint (
    organization_id uuid NOT NULL,
    size bigint NOT NULL,
    note text NOT NULL,
    signed_at timestamptz NOT NULL DEFAULT now(),
    is_kept boolean NOT NULL,
    PRIMARY KEY (organization_id, size)
) WITH (fillfactor = 90);

-- Who saw a checkpoint, and when: of each witness the first and the last cosignature, as lines of the
-- note (C2SP tlog-cosignature), verified before they are kept.
CREATE TABLE audit_cosignature (
    organization_id uuid NOT NULL,
    size bigint NOT NULL,
    vkey text NOT NULL,
    first_line text NOT NULL,
    first_at timestamptz NOT NULL,
    line text NOT NULL,
    seen_at timestamptz NOT NULL CHECK (seen_at >= first_at),
    PRIMARY KEY (organization_id, size, vkey)
);
CREATE INDEX audit_cosignature_witness ON audit_cosignature (organization_id, vkey, size);

-- Time stamps of an authority (RFC 3161): its whole response, on the text of a checkpoint.
CREATE TABLE audit_stamp (
    organization_id uuid NOT NULL,
    size bigint NOT NULL,
    stamped_at timestamptz NOT NULL,
    response bytea NOT NULL CHECK (octet_length(response) < 65536),
    PRIMARY KEY (organization_id, size, stamped_at)
);

-- Logs that are not signed any more under this origin: somebody has a checkpoint (note) which this
-- installation signed and which the log does not continue.
CREATE TABLE audit_stop (
    organization_id uuid NOT NULL,
    origin text NOT NULL,
    size bigint NOT NULL,
    note text NOT NULL,
    stopped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, origin)
);

-- The log `heads`: a leaf a round. Its tree is among the others, under the id {heads}.
CREATE TABLE audit_round (
    number bigint PRIMARY KEY CHECK (number > 0),
    at timestamptz NOT NULL,
    leaf text NOT NULL
);

-- Where a log's head is in the tree of a round: the checkpoint's size, the salt of its leaf, and the
-- hashes from there to the root. Kept for an hour; for thirty days where the log has a witness then.
CREATE TABLE audit_round_place (
    organization_id uuid NOT NULL,
    round bigint NOT NULL,
    kept_until timestamptz NOT NULL,
    size bigint NOT NULL,
    salt bytea NOT NULL CHECK (octet_length(salt) = 16),
    path bytea NOT NULL CHECK (octet_length(path) >= 768 AND octet_length(path) % 32 = 0),
    PRIMARY KEY (organization_id, round)
);
ALTER TABLE audit_round_place ALTER path SET STORAGE EXTERNAL;
CREATE INDEX audit_round_place_kept ON audit_round_place (kept_until);

-- The keys that checkpoints were signed with: the public ones. announcement: a note that names the key,
-- signed by the key before and by itself. No tenant's, so for everybody.
CREATE TABLE audit_signing_key (
    number integer PRIMARY KEY CHECK (number > 0),
    public_key bytea NOT NULL CHECK (octet_length(public_key) = 32),
    announcement text NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);

-- Where the worker stands. One row. All that was sealed before `proved_to` is in a tree, and before
-- `signed_to` under a signature too.
CREATE TABLE audit_proving (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    worked_at timestamptz NOT NULL DEFAULT now(),
    proved_to timestamptz NOT NULL DEFAULT now(),
    signed_to timestamptz NOT NULL DEFAULT now(),
    -- Logs that are not signed because the database, or the worker's memory, is not what was signed;
    -- and why, or why nothing is.
    refused_logs integer NOT NULL DEFAULT 0,
    refusal text NOT NULL DEFAULT '',
    -- When `audit_verify` last looked.
    verified_at timestamptz
);
INSERT INTO audit_proving DEFAULT VALUES;

CREATE TRIGGER audit_append_only BEFORE UPDATE OR TRUNCATE ON audit_tile
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
-- Runs go when their tile has become full, which is one row from then on.
CREATE TRIGGER audit_full_tile BEFORE DELETE ON audit_tile
    FOR EACH ROW WHEN (octet_length(OLD.hashes) = 8192) EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_append_only BEFORE TRUNCATE ON audit_salt
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_full_tile BEFORE DELETE ON audit_salt
    FOR EACH ROW WHEN (octet_length(OLD.salts) = 4096) EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_append_only BEFORE DELETE OR TRUNCATE
    OR UPDATE OF organization_id, n, entries, since, until, keys, root, index_root ON audit_block
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_kept BEFORE UPDATE OF keys_kept ON audit_block
    FOR EACH ROW WHEN (OLD.keys_kept IS NOT NULL) EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_append_only BEFORE DELETE OR TRUNCATE ON audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_only_growing BEFORE UPDATE ON audit_head
    FOR EACH ROW WHEN (NEW.size < OLD.size OR NEW.signed < OLD.signed
        OR (NEW.size = OLD.size AND (NEW.edge, NEW.index_edge) <> (OLD.edge, OLD.index_edge)))
    EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR TRUNCATE ON audit_leaf_kept
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_append_only BEFORE UPDATE OF organization_id, size, note, signed_at OR TRUNCATE
    ON audit_checkpoint FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_kept BEFORE DELETE OR UPDATE ON audit_checkpoint
    FOR EACH ROW WHEN (OLD.is_kept) EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_signing_key
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_append_only BEFORE DELETE OR TRUNCATE ON audit_cosignature
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_only_later BEFORE UPDATE ON audit_cosignature
    FOR EACH ROW WHEN (NEW.seen_at <= OLD.seen_at OR (NEW.organization_id, NEW.size, NEW.vkey,
        NEW.first_line, NEW.first_at) <> (OLD.organization_id, OLD.size, OLD.vkey, OLD.first_line,
        OLD.first_at))
    EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_stamp
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_stop
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_round
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR TRUNCATE ON audit_round_place
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

ALTER TABLE audit_tile ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_tile FOR SELECT
    USING (organization_id = '{heads}' OR audit_may_read(organization_id, (SELECT audit_readable())));
ALTER TABLE audit_salt ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_salt FOR SELECT
    USING (audit_may_read(organization_id, (SELECT audit_readable())));
ALTER TABLE audit_block ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_block FOR SELECT
    USING (audit_may_read(organization_id, (SELECT audit_readable())));
ALTER TABLE audit_head ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_head FOR SELECT
    USING (organization_id = '{heads}' OR audit_may_read(organization_id, (SELECT audit_readable())));
ALTER TABLE audit_leaf_kept ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_leaf_kept FOR SELECT
    USING (audit_may_read(organization_id, (SELECT audit_readable())));
ALTER TABLE audit_checkpoint ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_checkpoint FOR SELECT
    USING (organization_id = '{heads}' OR audit_may_read(organization_id, (SELECT audit_readable())));

ALTER TABLE audit_cosignature ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_cosignature FOR SELECT
    USING (organization_id = '{heads}' OR audit_may_read(organization_id, (SELECT audit_readable())));
ALTER TABLE audit_stamp ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_stamp FOR SELECT
    USING (organization_id = '{heads}' OR audit_may_read(organization_id, (SELECT audit_readable())));
ALTER TABLE audit_stop ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_stop FOR SELECT
    USING (audit_may_read(organization_id, (SELECT audit_readable())));
ALTER TABLE audit_round_place ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_round_place FOR SELECT
    USING (audit_may_read(organization_id, (SELECT audit_readable())));

-- -- What the worker calls

-- Logs that have grown beyond their tree, those that waited longest first.
CREATE FUNCTION audit_unproved(most integer) RETURNS TABLE (
    organization_id uuid, sealed bigint, size bigint, edge bytea, index_edge bytea
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT l.organization_id, l.size, COALESCE(h.size, 0), COALESCE(h.edge, ''),
        COALESCE(h.index_edge, '')
    FROM audit_log l LEFT JOIN audit_head h USING (organization_id)
    WHERE l.size > COALESCE(h.size, 0)
    ORDER BY h.advanced_at NULLS FIRST, l.organization_id LIMIT most
$$;

-- The entries of each log from after one number up to another, as texts in the order of
-- audit.entry.bulk_json.Row, in the order of logs and numbers. `since`: none has a smaller id. Numbers
-- lead to ids by the notes on blocks of the ledger (audit_field).
CREATE FUNCTION audit_entries_to_prove(
    organizations uuid[], afters bigint[], uptos bigint[], sinces uuid[]
) RETURNS TABLE (
    id text, organization_id text, actor_type text, actor_id text, actor_label text, action text,
    resource_type text, resource_id text, resource_label text, result text, ip text,
    user_agent text, request_id text, interface text, changes text, context text, seq text,
    resource_seq text, actor_seq text, erased_parts text
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
SET work_mem = '64MB' AS $$
    SELECT {columns_as_text} FROM (SELECT e.*
    FROM unnest(organizations, afters, uptos, sinces) AS w (organization_id, after, upto, since)
    CROSS JOIN LATERAL (
        SELECT greatest(w.since, (SELECT f.first_id FROM audit_field f
                WHERE f.organization_id = w.organization_id AND f.field = ''
                AND f.block BETWEEN (w.after + 1) / {field_block} AND w.upto / {field_block}
                ORDER BY f.first_id LIMIT 1)) AS first_id,
            (SELECT f.last_id FROM audit_field f
                WHERE f.organization_id = w.organization_id AND f.field = ''
                AND f.block BETWEEN (w.after + 1) / {field_block} AND w.upto / {field_block}
                ORDER BY f.last_id DESC LIMIT 1) AS last_id
    ) AS ids
    CROSS JOIN LATERAL (
        SELECT * FROM audit_ledger l
        WHERE l.organization_id = w.organization_id AND l.id BETWEEN ids.first_id AND ids.last_id
        AND l.seq > w.after AND l.seq <= w.upto OFFSET 0
    ) AS e) AS e
    ORDER BY e.organization_id, e.seq
$$;

-- Numbers that retention removed.
CREATE FUNCTION audit_removed_numbers(organization uuid, after bigint, upto bigint)
RETURNS TABLE (seq bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT number
    FROM (
        SELECT unnest(numbers * int8multirange(int8range(after, upto, '(]'))) AS range
        FROM audit_removal WHERE organization_id = organization
    ) AS removed
    CROSS JOIN LATERAL generate_series(lower(range), upper(range) - 1) AS number
    ORDER BY 1
$$;

-- What is kept, in each log, of leaves after one number up to another that the ledger cannot give.
CREATE FUNCTION audit_kept_leaves(organizations uuid[], afters bigint[], uptos bigint[])
RETURNS TABLE (organization_id uuid, seq bigint, leaf bytea, "time" bigint, keys bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.organization_id, k.seq, k.leaf, k.time, k.keys
    FROM unnest(organizations, afters, uptos) AS w (organization_id, after, upto)
    JOIN audit_leaf_kept k ON k.organization_id = w.organization_id
        AND k.seq > w.after AND k.seq <= w.upto
$$;

-- Add to trees: the runs of hashes and salts, the blocks that became full, and the heads. All of it or
-- nothing; refused if a log is not where it was when its entries were read.
CREATE FUNCTION audit_extend(heads jsonb, tiles jsonb, salts jsonb, blocks jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    expected bigint := jsonb_array_length(heads);
    written bigint;
BEGIN
    WITH given AS (
        SELECT (h ->> 0)::uuid AS organization_id, (h ->> 1)::bigint AS before,
            (h ->> 2)::bigint AS size, decode(h ->> 3, 'base64') AS edge,
            decode(h ->> 4, 'base64') AS index_edge
        FROM jsonb_array_elements(heads) AS h
    ), advanced AS (
        UPDATE audit_head AS a SET size = g.size, edge = g.edge, index_edge = g.index_edge,
            advanced_at = now()
        FROM given g LEFT JOIN audit_log l USING (organization_id)
        WHERE a.organization_id = g.organization_id AND a.size = g.before
            AND g.size > g.before AND (g.size <= l.size OR g.organization_id = '{heads}')
        RETURNING 1
    ), begun AS (
        INSERT INTO audit_head (organization_id, size, edge, index_edge)
        SELECT organization_id, g.size, g.edge, g.index_edge
        FROM given g LEFT JOIN audit_log l USING (organization_id)
        WHERE g.before = 0 AND (g.size <= l.size OR g.organization_id = '{heads}')
        ON CONFLICT DO NOTHING
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM advanced) + (SELECT count(*) FROM begun) INTO written;
    IF written <> expected THEN
        RAISE EXCEPTION 'audit: % of % trees are not where they were; another worker is writing them',
            expected - written, expected USING ERRCODE = 'serialization_failure';
    END IF;

    WITH given AS MATERIALIZED (
        SELECT (t ->> 0)::uuid AS organization_id, (t ->> 1)::smallint AS level,
            (t ->> 2)::bigint AS n, (t ->> 3)::smallint AS first,
            decode(t ->> 4, 'base64') AS hashes
        FROM jsonb_array_elements(tiles) AS t
    ), runs AS (
        DELETE FROM audit_tile AS a USING given g
        WHERE g.first > 0 AND g.first + octet_length(g.hashes) / 32 = 256
            AND a.organization_id = g.organization_id AND a.level = g.level AND a.n = g.n
        RETURNING a.organization_id, a.level, a.n, a.first, a.hashes
    ), filled AS (
        SELECT organization_id, level, n, 0::smallint, string_agg(hashes, '' ORDER BY first)
        FROM (SELECT * FROM runs UNION ALL
            SELECT * FROM given WHERE first > 0 AND first + octet_length(hashes) / 32 = 256) AS run
        GROUP BY organization_id, level, n
    )
    INSERT INTO audit_tile (organization_id, level, n, first, hashes)
    SELECT * FROM filled UNION ALL
    SELECT * FROM given WHERE first = 0 OR first + octet_length(hashes) / 32 < 256;

    WITH given AS MATERIALIZED (
        SELECT (t ->> 0)::uuid AS organization_id, (t ->> 1)::bigint AS n,
            (t ->> 2)::smallint AS first, decode(t ->> 3, 'base64') AS salts
        FROM jsonb_array_elements($3) AS t
    ), runs AS (
        DELETE FROM audit_salt AS a USING given g
        WHERE g.first > 0 AND g.first + octet_length(g.salts) / 16 = 256
            AND a.organization_id = g.organization_id AND a.n = g.n
        RETURNING a.organization_id, a.n, a.first, a.salts
    ), filled AS (
        SELECT organization_id, n, 0::smallint, string_agg(run.salts, '' ORDER BY first)
        FROM (SELECT * FROM runs UNION ALL
            SELECT * FROM given g WHERE first > 0 AND first + octet_length(g.salts) / 16 = 256) AS run
        GROUP BY organization_id, n
    )
    INSERT INTO audit_salt (organization_id, n, first, salts)
    SELECT * FROM filled UNION ALL
    SELECT * FROM given g WHERE first = 0 OR first + octet_length(g.salts) / 16 < 256;

    INSERT INTO audit_block (organization_id, n, entries, since, until, keys, root, index_root,
        keys_kept)
    SELECT (b ->> 0)::uuid, (b ->> 1)::bigint, (b ->> 2)::integer, (b ->> 3)::bigint,
        (b ->> 4)::bigint, (b ->> 5)::integer, decode(b ->> 6, 'base64'), decode(b ->> 7, 'base64'),
        decode(b ->> 8, 'base64')
    FROM jsonb_array_elements(blocks) AS b;
END $$;

-- Heads to sign: those that grew since they were signed, `seconds` ago at least, and those that the
-- key before signed; those that waited longest first, and none of `refused`. `began_late`: it has no
-- checkpoint yet, and its first entry is older than an hour, or was removed.
CREATE FUNCTION audit_unsigned(
    seconds double precision, key integer, most integer, refused uuid[]
) RETURNS TABLE (
    organization_id uuid, size bigint, edge bytea, signed bigint, signing_key integer,
    began_late boolean
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT h.organization_id, h.size, h.edge, h.signed, h.signing_key,
        h.signed = 0 AND (
            COALESCE((SELECT first_id FROM audit_field f WHERE f.organization_id = h.organization_id
                AND f.field = '' AND f.block = 0) < audit_uuid7_floor(now() - interval '1 hour'), true)
            OR EXISTS (SELECT FROM audit_removal r WHERE r.organization_id = h.organization_id))
    FROM audit_head h
    WHERE (h.size > h.signed OR h.signing_key <> key)
        AND h.signed_at <= now() - make_interval(secs => seconds)
        AND h.organization_id <> ALL (refused)
    ORDER BY h.signed_at, h.organization_id LIMIT most
$$;

-- The trees, and of each the size that was signed last and that checkpoint.
CREATE FUNCTION audit_signed_heads() RETURNS TABLE (
    organization_id uuid, size bigint, edge bytea, signed bigint, note text
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT h.organization_id, h.size, h.edge, h.signed, c.note
    FROM audit_head h
    LEFT JOIN audit_checkpoint c ON c.organization_id = h.organization_id AND c.size = h.signed
$$;

-- The hashes that are there of a tile.
CREATE FUNCTION audit_tile_hashes(organization uuid, of_level smallint, number bigint) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT string_agg(hashes, '' ORDER BY first) FROM audit_tile
    WHERE organization_id = organization AND level = of_level AND n = number
$$;

-- Keep what was signed: [organization, size, note, key, entry or null], the entry being one about the
-- signing itself, [action, resource type, resource label, context].
CREATE FUNCTION audit_sign(signed jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    WITH given AS (
        SELECT (s ->> 0)::uuid AS organization_id, (s ->> 1)::bigint AS size, s ->> 2 AS note,
            (s ->> 3)::integer AS key
        FROM jsonb_array_elements(signed) AS s
    ), marked AS (
        UPDATE audit_head AS h SET signed = g.size, signed_at = now(), signing_key = g.key
        FROM given g WHERE h.organization_id = g.organization_id AND h.size >= g.size
            AND h.signed <= g.size
        RETURNING h.organization_id
    ), outdated AS (
        DELETE FROM audit_checkpoint c USING marked m
        WHERE c.organization_id = m.organization_id AND NOT c.is_kept
            AND c.signed_at < now() - interval '10 minutes'
    )
    INSERT INTO audit_checkpoint (organization_id, size, note, is_kept)
    SELECT g.organization_id, g.size, g.note, NOT EXISTS (
        SELECT FROM audit_checkpoint c WHERE c.organization_id = g.organization_id AND c.is_kept
            AND c.signed_at >= date_trunc('minute', now()))
    FROM given g JOIN marked USING (organization_id)
    -- Signed again by a new key: what was given to somebody stays as it was given.
    ON CONFLICT (organization_id, size) DO NOTHING;
    INSERT INTO audit_inbox (organization_id, actor_type, actor_label, action, resource_type,
        resource_label, interface, context)
    SELECT (s ->> 0)::uuid, 'system', session_user, e ->> 0, e ->> 1,
        CASE WHEN e ->> 1 = 'audit_log' THEN COALESCE(o.slug, e ->> 2) ELSE e ->> 2 END, 'command',
        e -> 3
    FROM jsonb_array_elements(signed) AS s CROSS JOIN LATERAL (SELECT s -> 4 AS e) AS entry
    LEFT JOIN organizations_organization o ON o.id = (s ->> 0)::uuid
    WHERE jsonb_typeof(e) = 'array'
        AND (e ->> 0, e ->> 1) IN (('evidence_began', 'audit_log'), ('rotate', 'signing_key'));
END $$;

-- Logs that are not signed under an origin, and the size of what somebody has.
CREATE FUNCTION audit_stops() RETURNS TABLE (organization_id uuid, origin text, size bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT organization_id, origin, size FROM audit_stop
$$;

-- When the last round was.
CREATE FUNCTION audit_last_round(OUT number bigint, OUT at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT number, at FROM audit_round ORDER BY number DESC LIMIT 1
$$;

-- Add a round to `heads`: its leaf, the tree as `audit_extend` takes it, and where each head is in it:
-- [organization, size, salt, path].
CREATE FUNCTION audit_add_round(
    number bigint, moment timestamptz, leaf text, heads jsonb, tiles jsonb, places jsonb
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM audit_extend(heads, tiles, '[]', '[]');
    INSERT INTO audit_round (number, at, leaf) VALUES (number, moment, leaf);
    DELETE FROM audit_round_place WHERE kept_until < now();
    WITH given AS MATERIALIZED (
        SELECT (p ->> 0)::uuid AS organization_id, (p ->> 1)::bigint AS size,
            decode(p ->> 2, 'base64') AS salt, decode(p ->> 3, 'base64') AS path
        FROM jsonb_array_elements(places) AS p
    ), kept AS (
        UPDATE audit_checkpoint c SET is_kept = true FROM given g
        WHERE c.organization_id = g.organization_id AND c.size = g.size AND NOT c.is_kept
    )
    INSERT INTO audit_round_place (organization_id, round, kept_until, size, salt, path)
    SELECT g.organization_id, audit_add_round.number,
        now() + CASE WHEN EXISTS (
            SELECT FROM audit_witness w WHERE w.organization_id = g.organization_id
        ) THEN interval '30 days' ELSE interval '1 hour' END,
        g.size, g.salt, g.path
    FROM given g;
END $$;

-- Announce a key; false if it was announced before. Refused if another one has its number.
CREATE FUNCTION audit_announce_key(key integer, public bytea, note text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    known bytea := (SELECT public_key FROM audit_signing_key WHERE number = key);
BEGIN
    IF known = public THEN
        RETURN false;
    ELSIF known IS NOT NULL THEN
        RAISE EXCEPTION 'audit: signing key % is another one than before', key
            USING ERRCODE = 'unique_violation',
            HINT = 'A new key gets a new number: AUDIT_SIGNING_KEYS=2:NEW,1:OLD.';
    ELSIF EXISTS (SELECT FROM audit_signing_key WHERE number > key) THEN
        RAISE EXCEPTION 'audit: signing key % comes after one with a larger number', key
            USING ERRCODE = 'unique_violation';
    END IF;
    INSERT INTO audit_signing_key (number, public_key, announcement) VALUES (key, public, note);
    RETURN true;
END $$;

-- Public keys by their numbers.
CREATE FUNCTION audit_signing_keys() RETURNS TABLE (number integer, public_key bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT number, public_key FROM audit_signing_key ORDER BY 1
$$;

-- Note that all that was sealed before `moment` is in a tree, or signed, and what the worker refuses
-- to sign.
CREATE FUNCTION audit_proved(
    moment timestamptz, is_proved boolean, is_signed boolean, refused integer, why text
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE audit_proving SET worked_at = now(), refused_logs = refused, refusal = left(why, 1000),
        proved_to = CASE WHEN is_proved THEN greatest(proved_to, least(moment, now())) ELSE proved_to END,
        signed_to = CASE WHEN is_signed THEN greatest(signed_to, least(moment, now())) ELSE signed_to END
$$;

-- -- What the application calls

-- Keep a checkpoint that is given to somebody.
CREATE FUNCTION audit_keep_checkpoint(organization uuid, of_size bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE audit_checkpoint SET is_kept = true
    WHERE organization_id = organization AND size = of_size AND NOT is_kept
$$;

-- Keep a cosignature, which was verified, of a checkpoint that is there, by a witness of the log; false
-- if there is no such checkpoint or witness. For `heads` the settings say who its witnesses are.
CREATE FUNCTION audit_cosign(
    organization uuid, of_size bigint, by_vkey text, given_line text, at timestamptz
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF organization <> '{heads}' AND NOT EXISTS (
        SELECT FROM audit_witness w WHERE w.organization_id = organization AND w.vkey = by_vkey
    ) THEN
        RETURN false;
    END IF;
    -- Held, so that it is not removed meanwhile.
    PERFORM FROM audit_checkpoint WHERE organization_id = organization AND size = of_size FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE audit_checkpoint SET is_kept = true
    WHERE organization_id = organization AND size = of_size AND NOT is_kept;
    INSERT INTO audit_cosignature AS c
        (organization_id, size, vkey, first_line, first_at, line, seen_at)
    VALUES (organization, of_size, by_vkey, given_line, at, given_line, at)
    ON CONFLICT (organization_id, size, vkey)
    DO UPDATE SET line = excluded.line, seen_at = excluded.seen_at
    WHERE excluded.seen_at > c.seen_at;
    RETURN true;
END $$;

-- Keep a time stamp, which was verified, of a checkpoint that is there; false if it is not.
CREATE FUNCTION audit_keep_stamp(
    organization uuid, of_size bigint, given_response bytea, at timestamptz
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM audit_checkpoint WHERE organization_id = organization AND size = of_size FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE audit_checkpoint SET is_kept = true
    WHERE organization_id = organization AND size = of_size AND NOT is_kept;
    INSERT INTO audit_stamp (organization_id, size, stamped_at, response)
    VALUES (organization, of_size, at, given_response) ON CONFLICT DO NOTHING;
    RETURN true;
END $$;

-- Sign this log no more under this origin; false if that was so before.
CREATE FUNCTION audit_stop_signing(
    organization uuid, of_origin text, of_size bigint, of_note text
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO audit_stop (organization_id, origin, size, note)
    VALUES (organization, of_origin, of_size, of_note) ON CONFLICT DO NOTHING;
    RETURN FOUND;
END $$;

-- When the service last verified its evidence itself; null: never.
CREATE FUNCTION audit_last_verified() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT verified_at FROM audit_proving
$$;

-- How far evidence is, in figures that name no organization.
CREATE FUNCTION audit_evidence_state(OUT now timestamptz, OUT worked_at timestamptz,
    OUT proved_to timestamptz, OUT signed_to timestamptz, OUT unproved_logs bigint,
    OUT unproved_entries bigint, OUT unsigned_logs bigint, OUT bytes bigint,
    OUT refused_logs integer, OUT refusal text, OUT stopped_logs bigint,
    OUT newest_round timestamptz, OUT oldest_witness timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT clock_timestamp(), p.worked_at, p.proved_to, p.signed_to,
        (SELECT count(*) FROM audit_log l LEFT JOIN audit_head h USING (organization_id)
            WHERE l.size > COALESCE(h.size, 0)),
        (SELECT COALESCE(sum(l.size - COALESCE(h.size, 0)), 0)::bigint
            FROM audit_log l LEFT JOIN audit_head h USING (organization_id)),
        (SELECT count(*) FROM audit_head h WHERE h.size > h.signed),
        pg_total_relation_size('audit_tile') + pg_total_relation_size('audit_salt')
            + pg_total_relation_size('audit_block') + pg_total_relation_size('audit_head')
            + pg_total_relation_size('audit_checkpoint'),
        p.refused_logs, p.refusal, (SELECT count(*) FROM audit_stop),
        (SELECT at FROM audit_round ORDER BY number DESC LIMIT 1),
        -- Of the witnesses of `heads`, the one that was not heard of for longest.
        (WITH RECURSIVE witness AS (
            (SELECT vkey FROM audit_cosignature WHERE organization_id = '{heads}'
                ORDER BY vkey LIMIT 1)
            UNION ALL
            SELECT (SELECT c.vkey FROM audit_cosignature c WHERE c.organization_id = '{heads}'
                AND c.vkey > witness.vkey ORDER BY c.vkey LIMIT 1)
            FROM witness WHERE witness.vkey IS NOT NULL
        )
        SELECT min((SELECT c.seen_at FROM audit_cosignature c WHERE c.organization_id = '{heads}'
            AND c.vkey = witness.vkey ORDER BY c.size DESC LIMIT 1)) FROM witness)
    FROM audit_proving p
$$;

REVOKE EXECUTE ON FUNCTION audit_unproved(integer), audit_evidence_state(), audit_last_verified(),
    audit_entries_to_prove(uuid[], bigint[], bigint[], uuid[]),
    audit_removed_numbers(uuid, bigint, bigint),
    audit_kept_leaves(uuid[], bigint[], bigint[]), audit_extend(jsonb, jsonb, jsonb, jsonb),
    audit_unsigned(double precision, integer, integer, uuid[]), audit_signed_heads(),
    audit_tile_hashes(uuid, smallint, bigint), audit_sign(jsonb),
    audit_announce_key(integer, bytea, text), audit_signing_keys(),
    audit_proved(timestamptz, boolean, boolean, integer, text),
    audit_keep_checkpoint(uuid, bigint), audit_stops(), audit_last_round(),
    audit_add_round(bigint, timestamptz, text, jsonb, jsonb, jsonb),
    audit_cosign(uuid, bigint, text, text, timestamptz),
    audit_keep_stamp(uuid, bigint, bytea, timestamptz),
    audit_stop_signing(uuid, text, bigint, text) FROM PUBLIC;
