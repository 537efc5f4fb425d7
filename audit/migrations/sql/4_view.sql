-- What everything reads: both places at once, so an entry is there the instant its change commits.
-- `is_sealed` is a constant on each side: a question that names it is planned for one side only.
CREATE VIEW audit_entry WITH (security_invoker = true) AS
SELECT id, organization_id, actor_type, actor_id, actor_label, action, resource_type, resource_id,
    resource_label, result, ip, user_agent, request_id, interface, changes, context,
    NULL::bigint AS seq, NULL::bigint AS resource_seq, NULL::bigint AS actor_seq, NULL::smallint AS erased_parts,
    false AS is_sealed
FROM audit_inbox
UNION ALL
SELECT id, organization_id, actor_type, actor_id, actor_label, action, resource_type, resource_id,
    resource_label, result, ip, user_agent, request_id, interface, changes, context,
    seq, resource_seq, actor_seq, erased_parts, true
FROM audit_ledger;

-- The dictionary of names, with those of entries not sealed yet.
CREATE VIEW audit_name WITH (security_invoker = true) AS
SELECT organization_id, kind, label, type, id, folded FROM audit_label
UNION
SELECT organization_id, 'resource', resource_label COLLATE "C", resource_type, resource_id,
    audit_folded(resource_label) COLLATE "C"
FROM audit_inbox
WHERE resource_id IS NOT NULL
UNION
SELECT organization_id, 'actor', actor_label COLLATE "C", actor_type, actor_id,
    audit_folded(actor_label) COLLATE "C"
FROM audit_inbox
WHERE actor_id IS NOT NULL
UNION
SELECT organization_id, 'person', name COLLATE "C", resource_type, resource_id,
    audit_folded(name) COLLATE "C"
FROM audit_inbox CROSS JOIN LATERAL audit_names_of_person(resource_type, changes) AS name
WHERE resource_type = 'user' AND resource_id IS NOT NULL;

-- What entries not sealed yet say of the places of things. The parent is NULL where the entry does
-- not say it: one of a new name alone.
CREATE VIEW audit_naming WITH (security_invoker = true) AS
SELECT organization_id, resource_id AS id, audit_parent_of(resource_type, changes) AS parent_id,
    audit_own_name(resource_type, resource_label) COLLATE "C" AS name, resource_type AS type,
    id AS named_by, xid
FROM audit_inbox
WHERE audit_is_naming(changes) AND resource_id IS NOT NULL AND resource_label <> ''
    AND audit_own_name(resource_type, resource_label) IS NOT NULL;

CREATE VIEW audit_unsealed_place WITH (security_invoker = true) AS
SELECT organization_id, id, COALESCE(parent_id,
        (SELECT p.parent_id FROM audit_place p WHERE p.organization_id = n.organization_id
            AND p.id = n.id ORDER BY p.named_by DESC LIMIT 1),
        (SELECT m.parent_id FROM audit_naming m WHERE m.organization_id = n.organization_id
            AND m.id = n.id AND m.parent_id IS NOT NULL ORDER BY m.named_by DESC LIMIT 1),
        '00000000-0000-0000-0000-000000000000') AS parent_id,
    name, type, named_by, audit_folded(name) COLLATE "C" AS folded
FROM audit_naming AS n;

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

ALTER TABLE audit_place ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_place FOR SELECT
    USING (audit_may_read(organization_id, (SELECT audit_readable())));

ALTER TABLE audit_field ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_field FOR SELECT
    USING (audit_may_read(organization_id, (SELECT audit_readable())));

ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_log FOR SELECT
    USING (audit_may_read(organization_id, (SELECT audit_readable())));
