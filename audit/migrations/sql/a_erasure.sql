-- Erasing: parts of an entry are emptied, and its leaf, every checkpoint and every proof still hold
-- (audit/retention/erasing.py). The owner's role alone does it; each erasure leaves an entry, and the
-- triggers of the tables that it changes let exactly that change through.

-- part: 0 to 3 as in the line of an entry, or 4: the leaf itself is withheld, and all of its parts
-- with it. commitment: what the leaf has of the part; of part 4 the hash of the leaf.
CREATE TABLE audit_erasure (
    organization_id uuid NOT NULL,
    seq bigint NOT NULL,
    part smallint NOT NULL CHECK (part BETWEEN 0 AND 4),
    commitment bytea NOT NULL CHECK (octet_length(commitment) = 32),
    erased_at timestamptz NOT NULL DEFAULT now(),
    reason text NOT NULL CHECK (reason <> ''),
    requested_by text NOT NULL CHECK (requested_by <> ''),
    PRIMARY KEY (organization_id, seq, part)
);

-- The salts of the parts that stay: the salt of the entry, which gives all four, is zeroed.
CREATE TABLE audit_salt_kept (
    organization_id uuid NOT NULL,
    seq bigint NOT NULL,
    part smallint NOT NULL CHECK (part BETWEEN 0 AND 3),
    salt bytea NOT NULL CHECK (octet_length(salt) = 16),
    PRIMARY KEY (organization_id, seq, part)
);

ALTER TABLE audit_erasure ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_erasure FOR SELECT
    USING (audit_may_read(organization_id, (SELECT audit_readable())));
ALTER TABLE audit_salt_kept ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_salt_kept FOR SELECT
    USING (audit_may_read(organization_id, (SELECT audit_readable())));

-- Enter what is erased. Refused under a legal hold, of an entry that is not there, of the name of
-- what has a path, and of what an entry about the log itself says: others cannot be read without.
CREATE FUNCTION audit_enter_erasure() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
-- Thousands are looked up among thousands, and the planner knows the size of neither.
SET enable_nestloop = off SET enable_mergejoin = off AS $$
DECLARE
    wrong record;
BEGIN
    SELECT g.organization_id INTO wrong FROM given g JOIN audit_hold h USING (organization_id) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'audit: % is under legal hold', audit_ulid(wrong.organization_id)
            USING ERRCODE = 'check_violation';
    END IF;
    WITH block AS MATERIALIZED (
        SELECT DISTINCT organization_id, seq / {field_block} AS block FROM given
    ), entry AS MATERIALIZED (
        SELECT e.organization_id, e.seq, e.action, e.resource_type
        FROM block b JOIN audit_field f ON f.organization_id = b.organization_id
            AND f.field = '' AND f.block = b.block
        CROSS JOIN LATERAL (
            SELECT * FROM audit_ledger l WHERE l.organization_id = b.organization_id
            AND l.id BETWEEN f.first_id AND f.last_id OFFSET 0) AS e
        WHERE e.seq / {field_block} = b.block
    )
    SELECT g.organization_id, g.seq, g.part, e.action INTO wrong
    FROM given g LEFT JOIN entry e USING (organization_id, seq)
    WHERE e.seq IS NULL
        OR g.part = 2 AND e.resource_type IN ({path_types})
        OR g.part >= 3 AND (e.action IN ({kept_actions})
            OR e.action = 'rotate' AND e.resource_type = 'signing_key')
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'audit: part % of entry % of % cannot be erased', wrong.part, wrong.seq,
            audit_ulid(wrong.organization_id) USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO audit_inbox (organization_id, actor_type, actor_label, action, resource_type,
        resource_label, interface, context)
    SELECT g.organization_id, 'system', 'system', 'erase', 'audit_log',
        CASE g.organization_id WHEN '00000000-0000-0000-0000-000000000000' THEN 'all'
            ELSE COALESCE(o.slug, audit_ulid(g.organization_id)) END, 'command',
        jsonb_build_object('parts', array_to_string(g.parts, ', '), 'count', count(*), 'numbers', (
                SELECT string_agg(lower(r) || CASE WHEN upper(r) - lower(r) > 1
                    THEN '-' || upper(r) - 1 ELSE '' END, ', ' ORDER BY lower(r))
                FROM unnest(range_agg(int8range(g.seq, g.seq, '[]'))) AS r),
            'reason', g.reason, 'requested_by', g.requested_by, 'command', 'audit_erase')
    FROM (
        SELECT organization_id, seq, reason, requested_by, array_agg(
            ('{actor,origin,resource,detail,leaf}'::text[])[part + 1] ORDER BY part) AS parts
        FROM given GROUP BY 1, 2, 3, 4
    ) AS g LEFT JOIN organizations_organization o ON o.id = g.organization_id
    GROUP BY g.organization_id, o.slug, g.parts, g.reason, g.requested_by;
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION audit_enter_erasure() FROM PUBLIC;
CREATE TRIGGER audit_enter AFTER INSERT ON audit_erasure REFERENCING NEW TABLE AS given
    FOR EACH STATEMENT EXECUTE FUNCTION audit_enter_erasure();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_erasure
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

-- Whether what is kept of a number may go: it, or the part, was erased, or left under retention.
CREATE FUNCTION audit_is_gone(organization uuid, number bigint, of_part smallint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM audit_erasure e WHERE e.organization_id = organization
            AND e.seq = number AND (of_part IS NULL OR e.part IN (of_part, 4)))
        OR EXISTS (SELECT FROM audit_removal r WHERE r.organization_id = organization
            AND r.numbers @> number)
$$;
REVOKE EXECUTE ON FUNCTION audit_is_gone(uuid, bigint, smallint) FROM PUBLIC;

CREATE FUNCTION audit_refuse_unless_gone() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF audit_is_gone(OLD.organization_id, OLD.seq,
        COALESCE((to_jsonb(OLD) ->> 'part')::smallint, 4::smallint))
    THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'audit: DELETE on % is refused: it was neither erased nor removed',
        TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_only_gone BEFORE DELETE ON audit_salt_kept
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_unless_gone();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR TRUNCATE ON audit_salt_kept
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_only_gone BEFORE DELETE ON audit_leaf_kept
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_unless_gone();

-- A salt is zeroed when its entry is erased or leaves, and never changed otherwise.
CREATE FUNCTION audit_refuse_unless_zeroed() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.organization_id, NEW.n, NEW.first, octet_length(NEW.salts))
            = (OLD.organization_id, OLD.n, OLD.first, octet_length(OLD.salts))
        AND NOT EXISTS (
            SELECT FROM generate_series(0, octet_length(OLD.salts) / 16 - 1) AS place,
                LATERAL (SELECT substr(OLD.salts, 16 * place + 1, 16) AS was,
                    substr(NEW.salts, 16 * place + 1, 16) AS becomes) AS salt
            WHERE becomes <> was AND (becomes <> '\x00000000000000000000000000000000'
                OR NOT audit_is_gone(OLD.organization_id, 256 * OLD.n + OLD.first + place + 1, NULL)))
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'audit: UPDATE on audit_salt is refused: a salt goes with its entry'
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_only_zeroing BEFORE UPDATE ON audit_salt
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_unless_zeroed();
