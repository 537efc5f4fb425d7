-- Forks: a log whose database went back behind what was signed is signed on under another origin, and
-- says so. The owner's role alone makes one (audit/evidence/forking.py).

-- number: the last part of the origin from then on. last: the last checkpoint that was signed before;
-- common: the largest of which the tree still has all entries. Both are signed notes.
CREATE TABLE audit_fork (
    organization_id uuid NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    last text NOT NULL,
    common text NOT NULL,
    forked_at timestamptz NOT NULL DEFAULT now(),
    reason text NOT NULL DEFAULT '',
    requested_by text NOT NULL DEFAULT '',
    PRIMARY KEY (organization_id, number)
);
ALTER TABLE audit_fork ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_fork FOR SELECT
    USING (organization_id = '{heads}' OR audit_may_read(organization_id, (SELECT audit_readable())));
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_fork
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

-- Enter each in its log; `heads` has no entries.
CREATE FUNCTION audit_enter_fork() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO audit_inbox (organization_id, actor_type, actor_label, action, resource_type,
        resource_label, interface, context)
    SELECT g.organization_id, 'system', 'system', 'fork', 'audit_log',
        CASE g.organization_id WHEN '00000000-0000-0000-0000-000000000000' THEN 'all'
            ELSE COALESCE(o.slug, audit_ulid(g.organization_id)) END, 'command',
        jsonb_strip_nulls(jsonb_build_object('number', g.number, 'last', g.last, 'common', g.common,
            'reason', NULLIF(g.reason, ''), 'requested_by', NULLIF(g.requested_by, ''),
            'command', 'audit_fork'))
    FROM given g LEFT JOIN organizations_organization o ON o.id = g.organization_id
    WHERE g.organization_id <> '{heads}';
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION audit_enter_fork() FROM PUBLIC;
CREATE TRIGGER audit_enter AFTER INSERT ON audit_fork REFERENCING NEW TABLE AS given
    FOR EACH STATEMENT EXECUTE FUNCTION audit_enter_fork();

-- The number of the last fork of each log that has any, for the worker.
CREATE FUNCTION audit_forks() RETURNS TABLE (organization_id uuid, number integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT organization_id, max(number) FROM audit_fork GROUP BY 1
$$;
REVOKE EXECUTE ON FUNCTION audit_forks() FROM PUBLIC;
