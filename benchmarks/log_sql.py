"""The statements that make a large log (`benchmarks.log`), inside PostgreSQL.

Chance is a hash of the entry's number, so that no plan changes what comes out.
"""

from __future__ import annotations

PREPARE = """
CREATE FUNCTION pg_temp.chance(n bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
    SELECT (hashint8extended(n, salt) & 9007199254740991)::float8 / 9007199254740992
$$;
CREATE FUNCTION pg_temp.key(kind text, rank int, n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT overlay(md5(kind || ' ' || rank || ' ' || n) placing '7' FROM 13 FOR 1)::uuid
$$;
CREATE TEMP TABLE organization (rank int PRIMARY KEY, id uuid NOT NULL);
CREATE TEMP TABLE kind (throw int PRIMARY KEY, type text, action text);
INSERT INTO kind SELECT row_number() OVER (), type, action FROM (VALUES
    -- Of a thousand entries, and the rare ones by a separate throw.
    ('key_version', 'retrieve', 430), ('key_version', 'rotate', 15), ('environment', 'update', 130),
    ('environment', 'create', 45), ('environment', 'delete', 25), ('target', 'update', 50),
    ('target', 'create', 10), ('project', 'update', 35), ('project', 'create', 5),
    ('user', 'sign_in', 90), ('user', 'sign_out', 40), ('audit_log', 'view', 50),
    ('membership', 'join', 15), ('membership', 'update', 10), ('membership', 'leave', 5),
    ('api_key', 'create', 10), ('api_key', 'rotate', 10), ('invitation', 'invite', 10),
    ('endpoint', 'access', 15)) AS k (type, action, share), generate_series(1, share);
"""

SUBJECTS = """
-- What each organization has: people, keys, projects, by rank; shares as Zipf has them.
CREATE TEMP TABLE has AS
SELECT rank, id AS organization_id, 10 + 300 / rank AS actors, 6 + 1000 / rank AS projects,
    sum(1.0 / rank) OVER (ORDER BY rank) / sum(1.0 / rank) OVER () AS until FROM organization;
ALTER TABLE has ADD PRIMARY KEY (rank);
ANALYZE has;
ANALYZE kind;
CREATE TEMP TABLE share AS SELECT array_agg(until::float8 ORDER BY rank) AS until FROM has;
"""

DRAW = """
DROP TABLE IF EXISTS pg_temp.drawn;
CREATE TEMP TABLE drawn AS
WITH span AS (
    SELECT %s::bigint AS least, %s::bigint AS past, %s::timestamptz AS since,
        %s::timestamptz AS until, %s::float8 AS entries
), number AS MATERIALIZED (
    SELECT n, n / entries AS t, since + (until - since) * (n / entries) AS moment,
        1 + width_bucket(pg_temp.chance(n, 1), (SELECT until FROM share)) AS rank,
        1 + (pg_temp.chance(n, 2) * 1000)::int %% 1000 AS kind_n
    FROM span, generate_series(least, past - 1) AS n
), thrown AS MATERIALIZED (
    SELECT number.*, h.organization_id, k.type, k.action,
        -- Half of what happens, happens to a quarter of the projects; the others come and go.
        floor(h.projects * CASE WHEN pg_temp.chance(n, 3) < 0.5
            THEN 0.25 * pg_temp.chance(n, 4) ^ 2
            ELSE 0.25 + 0.75 * (0.9 * t + 0.1 * pg_temp.chance(n, 4)) END)::int AS project,
        -- So do people.
        CASE WHEN pg_temp.chance(n, 5) < 0.05 THEN NULL
            WHEN pg_temp.chance(n, 5) < 0.8 THEN floor(h.actors * 0.4 * pg_temp.chance(n, 6) ^ 3)
            ELSE floor(h.actors * (0.4 + 0.6 * (0.9 * t + 0.1 * pg_temp.chance(n, 6))))
        END::int AS actor,
        floor(pg_temp.chance(n, 7) * 12)::int AS leaf
    FROM number JOIN has h USING (rank) JOIN kind k ON k.throw = kind_n
), named AS MATERIALIZED (
    SELECT *, lpad(to_hex(floor(extract(epoch FROM moment) * 4096000)::bigint), 15, '0') AS stamp,
        CASE WHEN actor IS NULL THEN CASE WHEN type IN ('user', 'endpoint')
                THEN 'anonymous' ELSE 'system' END
            WHEN actor %% 5 = 4 THEN 'api_key' ELSE 'user' END AS actor_type,
        'app-' || project AS path,
        (ARRAY['backend', 'frontend', 'worker'])[1 + leaf %% 3] AS target,
        (ARRAY['production', 'staging', 'local', 'review'])[1 + leaf / 3] AS environment,
        (ARRAY['name', 'description', 'slug', 'status', 'is_production'])
            [1 + floor(5 * pg_temp.chance(n, 8) ^ 2)::int] AS field
    FROM thrown
)
SELECT
    (overlay(stamp placing '7' FROM 13 FOR 0) || '8' || substr(md5(n::text), 1, 15))::uuid AS id,
    organization_id,
    CASE WHEN actor IS NOT NULL THEN pg_temp.key('actor', rank, actor) END AS actor_id,
    CASE type WHEN 'endpoint' THEN NULL WHEN 'audit_log' THEN NULL
        WHEN 'user' THEN pg_temp.key('actor', rank, COALESCE(actor, 0))
        WHEN 'membership' THEN pg_temp.key('member', rank, COALESCE(actor, 0))
        WHEN 'api_key' THEN pg_temp.key('actor', rank, COALESCE(actor, 0) / 5 * 5 + 4)
        WHEN 'invitation' THEN pg_temp.key('invitation', rank, (n %% 100000)::int)
        WHEN 'project' THEN pg_temp.key('project', rank, project)
        WHEN 'key_version' THEN pg_temp.key('key', rank, project * 4 + (t * 3.99)::int)
        WHEN 'target' THEN pg_temp.key('target', rank, project * 3 + leaf %% 3)
        ELSE pg_temp.key('environment', rank, project * 12 + leaf) END AS resource_id,
    CASE WHEN actor IS NOT NULL OR type IN ('user', 'endpoint') THEN
        (overlay(stamp placing '7' FROM 13 FOR 0) || '9' || substr(md5(n::text), 1, 15))::uuid
    END AS request_id,
    CASE WHEN actor IS NULL AND type NOT IN ('user', 'endpoint') THEN NULL
        WHEN pg_temp.chance(n, 9) < 0.7 THEN
            ('203.0.113.' || rank %% 80 * 3 + (pg_temp.chance(n, 10) * 3)::int %% 3)::inet
        ELSE '100.64.0.0'::inet + (pg_temp.chance(n, 10) ^ 4 * 60000)::bigint END AS ip,
    actor_type,
    CASE actor_type WHEN 'user' THEN 'person-' || actor || '@org-' || rank || '.example'
        WHEN 'api_key' THEN 'deploy-' || actor ELSE actor_type END AS actor_label,
    CASE WHEN type = 'key_version' AND pg_temp.chance(n, 11) < 0.0001 THEN 'rewrap' ELSE action
    END AS action,
    type AS resource_type,
    CASE type WHEN 'endpoint' THEN 'GET /{organization}' WHEN 'audit_log' THEN 'log-' || rank
        WHEN 'user' THEN 'person-' || COALESCE(actor, 0) || '@org-' || rank || '.example'
        WHEN 'membership' THEN 'person-' || COALESCE(actor, 0) || '@org-' || rank || '.example'
        WHEN 'api_key' THEN 'deploy-' || COALESCE(actor, 0) / 5 * 5 + 4
        WHEN 'invitation' THEN 'guest-' || n %% 100000 || '@example.net'
        WHEN 'project' THEN path
        WHEN 'key_version' THEN path || '/encryption-key/' || 1 + (t * 3.99)::int
        WHEN 'target' THEN path || '/' || target
        ELSE path || '/' || target || '/' || environment END AS resource_label,
    CASE WHEN type = 'endpoint' THEN 'denied'
        WHEN action = 'sign_in' AND pg_temp.chance(n, 12) < 0.05 THEN 'failed'
        ELSE 'success' END AS result,
    CASE WHEN actor IS NULL AND type NOT IN ('user', 'endpoint') THEN 'command'
        WHEN actor_type = 'api_key' THEN CASE WHEN pg_temp.chance(n, 13) < 0.3
            THEN 'cli' ELSE 'api' END
        WHEN pg_temp.chance(n, 13) < 0.01 THEN 'admin' ELSE 'web' END AS interface,
    CASE WHEN actor_type = 'api_key' THEN 'dotenv-cli/1.4.0 (linux)'
        ELSE 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
    END AS user_agent,
    CASE action WHEN 'update' THEN jsonb_build_object(field,
            jsonb_build_array('before ' || n %% 1000, 'after ' || n %% 1000))
        WHEN 'create' THEN jsonb_build_object('name', jsonb_build_array(NULL, path),
            'description', jsonb_build_array(NULL, 'One of many'))
        ELSE '{}' END AS changes,
    CASE WHEN action = 'retrieve' THEN '{"key_version": 3}'::jsonb ELSE '{}' END AS context
FROM named;
"""

MAKE_TABLE = """
CREATE TABLE IF NOT EXISTS public.{name}
    (LIKE public.audit_ledger INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
"""

ADD_MONTH = """
CREATE TEMP TABLE numbered AS
SELECT *, COALESCE(resource_id, '00000000-0000-0000-0000-000000000000') AS resource_key,
    COALESCE(actor_id, '00000000-0000-0000-0000-000000000000') AS actor_key,
    row_number() OVER (PARTITION BY organization_id ORDER BY id) AS seq,
    row_number() OVER (PARTITION BY organization_id, resource_type, resource_id ORDER BY id)
        AS resource_seq,
    row_number() OVER (PARTITION BY organization_id, actor_type, actor_id ORDER BY id) AS actor_seq
FROM drawn;
INSERT INTO public.{name} (id, organization_id, actor_id, resource_id, request_id, seq,
    resource_seq, actor_seq, ip, actor_type, actor_label, action, resource_type, resource_label,
    result, interface, user_agent, changes, context)
SELECT e.id, e.organization_id, e.actor_id, e.resource_id, e.request_id,
    e.seq + COALESCE(l.size, 0), e.resource_seq + COALESCE(r.size, 0),
    e.actor_seq + COALESCE(a.size, 0), e.ip, e.actor_type, e.actor_label, e.action,
    e.resource_type, e.resource_label, e.result, e.interface, e.user_agent, e.changes, e.context
FROM numbered e
LEFT JOIN audit_log l USING (organization_id)
LEFT JOIN audit_subject r ON r.organization_id = e.organization_id AND r.kind = 'resource'
    AND r.type = e.resource_type AND r.id = e.resource_key
LEFT JOIN audit_subject a ON a.organization_id = e.organization_id AND a.kind = 'actor'
    AND a.type = e.actor_type AND a.id = e.actor_key
ORDER BY e.id;
INSERT INTO audit_field AS f (organization_id, field, block, first_id, last_id)
SELECT n.organization_id, name, (n.seq + COALESCE(l.size, 0)) / 1024,
    (array_agg(n.id ORDER BY n.id))[1], (array_agg(n.id ORDER BY n.id DESC))[1]
FROM numbered n LEFT JOIN audit_log l USING (organization_id) CROSS JOIN LATERAL (
    SELECT jsonb_object_keys(n.changes) AS name UNION ALL SELECT '') AS each
GROUP BY 1, 2, 3
ON CONFLICT (organization_id, field, block) DO UPDATE SET
    first_id = least(f.first_id, EXCLUDED.first_id),
    last_id = greatest(f.last_id, EXCLUDED.last_id);
INSERT INTO audit_log AS l (organization_id, size)
SELECT organization_id, count(*) FROM numbered GROUP BY 1
ON CONFLICT (organization_id) DO UPDATE SET size = l.size + EXCLUDED.size;
INSERT INTO audit_subject AS s (organization_id, kind, type, id, size)
SELECT organization_id, 'resource', resource_type, resource_key, count(*) FROM numbered
GROUP BY 1, 3, 4
UNION ALL
SELECT organization_id, 'actor', actor_type, actor_key, count(*) FROM numbered GROUP BY 1, 3, 4
ON CONFLICT (organization_id, kind, type, id) DO UPDATE SET size = s.size + EXCLUDED.size;
INSERT INTO audit_count AS c (action, result, size)
SELECT action, result, count(*) FROM numbered GROUP BY 1, 2
ON CONFLICT (action, result) DO UPDATE SET size = c.size + EXCLUDED.size;
INSERT INTO audit_label (organization_id, kind, label, type, id)
SELECT DISTINCT organization_id, 'resource', resource_label, resource_type, resource_id
FROM numbered WHERE resource_id IS NOT NULL
UNION ALL
SELECT DISTINCT organization_id, 'actor', actor_label, actor_type, actor_id
FROM numbered WHERE actor_id IS NOT NULL
ON CONFLICT DO NOTHING;
DROP TABLE numbered;
"""

PLACES = """
-- What lies below what, as the entries of creating it would say: of all that the log has heard of.
INSERT INTO audit_place (organization_id, id, parent_id, name, type, named_by)
SELECT organization_id, id, COALESCE(parent, '00000000-0000-0000-0000-000000000000'), name, type,
    '00000000-0000-7000-8000-000000000000'
FROM (
    SELECT organization_id, pg_temp.key('project', rank, n) AS id, NULL::uuid AS parent,
        'app-' || n AS name, 'project' AS type
    FROM has, generate_series(0, projects - 1) AS n
    UNION ALL
    SELECT organization_id, pg_temp.key('key', rank, n * 4 + version),
        pg_temp.key('project', rank, n),
        '/encryption-key/' || 1 + version, 'key_version'
    FROM has, generate_series(0, projects - 1) AS n, generate_series(0, 3) AS version
    UNION ALL
    SELECT organization_id, pg_temp.key('target', rank, n * 3 + target),
        pg_temp.key('project', rank, n),
        '/' || (ARRAY['backend', 'frontend', 'worker'])[1 + target], 'target'
    FROM has, generate_series(0, projects - 1) AS n, generate_series(0, 2) AS target
    UNION ALL
    SELECT organization_id, pg_temp.key('environment', rank, n * 12 + leaf),
        pg_temp.key('target', rank, n * 3 + leaf % 3),
        '/' || (ARRAY['production', 'staging', 'local', 'review'])[1 + leaf / 3], 'environment'
    FROM has, generate_series(0, projects - 1) AS n, generate_series(0, 11) AS leaf
    UNION ALL
    SELECT organization_id, pg_temp.key('member', rank, n), pg_temp.key('actor', rank, n), '',
        'membership'
    FROM has, generate_series(0, actors) AS n
    UNION ALL
    SELECT organization_id, pg_temp.key('actor', rank, n), NULL,
        CASE n % 5 WHEN 4 THEN 'deploy-' || n
            ELSE 'person-' || n || '@org-' || rank || '.example' END,
        CASE n % 5 WHEN 4 THEN 'api_key' ELSE 'user' END
    FROM has, generate_series(0, actors) AS n
) AS thing
WHERE EXISTS (SELECT FROM audit_label l
    WHERE l.organization_id = thing.organization_id AND l.id = thing.id);
"""

INDEXES = """
SELECT regexp_replace(pg_get_indexdef(indexrelid),
    'INDEX \\S+ ON ONLY public.audit_ledger', 'INDEX ON public.' || %s)
FROM pg_index WHERE indrelid = 'public.audit_ledger'::regclass AND NOT indisprimary
"""
