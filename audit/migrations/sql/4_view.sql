-- What everything reads: both places at once, so an entry is there the instant its change commits.
-- `is_sealed` is a constant on each side: a question that names it is planned for one side only.
CREATE VIEW audit_entry WITH (security_invoker = true) AS
SELECT id, organization_id, actor_type, actor_id, actor_label, action, resource_type, resource_id,
    resource_label, result, ip, user_agent, request_id, interface, changes, context,
    NULL::bigint AS seq, NULL::bigint AS resource_seq, NULL::bigint AS actor_seq, false AS is_sealed
FROM audit_inbox
UNION ALL
SELECT id, organization_id, actor_type, actor_id, actor_label, action, resource_type, resource_id,
    resource_label, result, ip, user_agent, request_id, interface, changes, context,
    seq, resource_seq, actor_seq, true
FROM audit_ledger;

-- The dictionary of names, with those of entries not sealed yet.
CREATE VIEW audit_name WITH (security_invoker = true) AS
SELECT organization_id, kind, label, type, id FROM audit_label
UNION
SELECT organization_id, 'resource', resource_label COLLATE "C", resource_type, resource_id
FROM audit_inbox
WHERE resource_id IS NOT NULL
UNION
SELECT organization_id, 'actor', actor_label COLLATE "C", actor_type, actor_id FROM audit_inbox
WHERE actor_id IS NOT NULL;

-- The tenant scope, below every query: a session reads only the organizations it has
-- named in `audit.organizations` (uuids in a list, or `*` for the platform's own commands); one
-- that named none reads nothing, and one that named what is no uuid gets an error. The owner, whose
-- guards must see all, is exempt.

-- Those named. A policy asks for them in a SELECT of its own, which is run once a statement: read
-- for each row, a list of 200 organizations took 23 µs a row.
CREATE FUNCTION audit_readable() RETURNS uuid[]
LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN current_setting('audit.organizations', true) <> '*'
        THEN string_to_array(current_setting('audit.organizations', true), ',')::uuid[] END;

-- `array_position … IS NOT NULL` on purpose: the planner takes this to let nearly every row
-- through, as it does beside the query's own `organization_id = …`. Of `= ANY` it would expect next
-- to nothing, and choose plans for so few rows.
CREATE FUNCTION audit_may_read(organization uuid, readable uuid[]) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
    RETURN array_position(readable, organization) IS NOT NULL
        OR current_setting('audit.organizations', true) = '*';

CREATE POLICY audit_tenant_scope ON audit_inbox FOR SELECT
    USING (audit_may_read(organization_id, (SELECT audit_readable())));

ALTER TABLE audit_ledger ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_ledger FOR SELECT
    USING (audit_may_read(organization_id, (SELECT audit_readable())));

ALTER TABLE audit_label ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_label FOR SELECT
    USING (audit_may_read(organization_id, (SELECT audit_readable())));

ALTER TABLE audit_field ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_field FOR SELECT
    USING (audit_may_read(organization_id, (SELECT audit_readable())));

ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_log FOR SELECT
    USING (audit_may_read(organization_id, (SELECT audit_readable())));
