-- Sealing: entries move from the inbox to the ledger and get their numbers. The sealer's role may
-- call `audit_seal` and the functions that audit/ledger/roles.py lists with it, and nothing else: it
-- can neither write an entry, nor number, date or order one, nor take one out, nor say that something
-- is sealed that is not.

-- Move the entries of transactions from `since` to below `past`; returns how many.
CREATE FUNCTION audit_move(since xid8, past xid8) RETURNS bigint
LANGUAGE plpgsql
-- The planner takes the batch for a handful of rows and would compare each with each (66 s for
-- 20,000 entries; 0.7 s with hash joins).
SET enable_nestloop = off SET enable_mergejoin = off SET work_mem = '64MB'
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    moved_entries bigint;
BEGIN
    -- Those that say their parent first: a new name keeps the parent that is known.
    INSERT INTO audit_place AS p (organization_id, id, parent_id, name, type, named_by)
    SELECT organization_id, id, parent_id, name, type,
        (array_agg(named_by ORDER BY named_by DESC))[1]
    FROM audit_naming WHERE xid >= since AND xid < past AND parent_id IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (organization_id, id, name, parent_id) DO UPDATE SET named_by = EXCLUDED.named_by
    WHERE p.named_by < EXCLUDED.named_by;
    INSERT INTO audit_place AS p (organization_id, id, parent_id, name, type, named_by)
    SELECT organization_id, id, COALESCE(
            (SELECT known.parent_id FROM audit_place known
                WHERE known.organization_id = n.organization_id AND known.id = n.id
                ORDER BY known.named_by DESC LIMIT 1),
            '00000000-0000-0000-0000-000000000000'),
        name, type, (array_agg(named_by ORDER BY named_by DESC))[1]
    FROM audit_naming AS n WHERE xid >= since AND xid < past AND parent_id IS NULL
    GROUP BY organization_id, id, name, type
    ON CONFLICT (organization_id, id, name, parent_id) DO UPDATE SET named_by = EXCLUDED.named_by
    WHERE p.named_by < EXCLUDED.named_by;
    WITH moved AS MATERIALIZED (
        DELETE FROM audit_inbox WHERE xid >= since AND xid < past RETURNING *,
            COALESCE(resource_id, '00000000-0000-0000-0000-000000000000') AS resource_key,
            COALESCE(actor_id, '00000000-0000-0000-0000-000000000000') AS actor_key
    ), numbered AS MATERIALIZED (
        -- Counted from the end: the log's new size less the entries of the batch that come after.
        SELECT *,
            count(*) OVER (PARTITION BY organization_id ORDER BY xid DESC, id DESC) - 1 AS after,
            count(*) OVER (PARTITION BY organization_id, resource_type, resource_key
                ORDER BY xid DESC, id DESC) - 1 AS after_of_resource,
            count(*) OVER (PARTITION BY organization_id, actor_type, actor_key
                ORDER BY xid DESC, id DESC) - 1 AS after_of_actor
        FROM moved
    ), log AS (
        INSERT INTO audit_log AS l (organization_id, size)
        SELECT organization_id, count(*) FROM moved GROUP BY 1 ORDER BY 1
        ON CONFLICT (organization_id) DO UPDATE SET size = l.size + EXCLUDED.size
        RETURNING organization_id, size
    ), subject AS (
        INSERT INTO audit_subject AS s (organization_id, kind, type, id, size)
        SELECT organization_id, 'resource', resource_type, resource_key, count(*)
        FROM moved GROUP BY 1, 3, 4
        UNION ALL
        SELECT organization_id, 'actor', actor_type, actor_key, count(*) FROM moved GROUP BY 1, 3, 4
        ON CONFLICT (organization_id, kind, type, id) DO UPDATE SET size = s.size + EXCLUDED.size
        RETURNING organization_id, kind, type, id, size
    ), counted AS (
        INSERT INTO audit_count AS c (action, result, size)
        SELECT action, result, count(*) FROM moved GROUP BY 1, 2
        ON CONFLICT (action, result) DO UPDATE SET size = c.size + EXCLUDED.size
    ), label AS (
        INSERT INTO audit_label (organization_id, kind, label, type, id)
        SELECT DISTINCT organization_id, 'resource', resource_label, resource_type, resource_id
        FROM moved WHERE resource_id IS NOT NULL
        UNION ALL
        SELECT DISTINCT organization_id, 'actor', actor_label, actor_type, actor_id
        FROM moved WHERE actor_id IS NOT NULL
        UNION ALL
        SELECT DISTINCT organization_id, 'person', name, resource_type, resource_id
        FROM moved CROSS JOIN LATERAL audit_names_of_person(resource_type, changes) AS name
        WHERE resource_id IS NOT NULL
        ON CONFLICT DO NOTHING
    ), sealed AS (
        INSERT INTO audit_ledger (id, organization_id, actor_id, resource_id, request_id, seq,
            resource_seq, actor_seq, ip, actor_type, actor_label, action, resource_type,
            resource_label, result, interface, user_agent, changes, context)
        SELECT e.id, e.organization_id, e.actor_id, e.resource_id, e.request_id,
            log.size - e.after, r.size - e.after_of_resource, a.size - e.after_of_actor,
            e.ip, e.actor_type, e.actor_label, e.action, e.resource_type, e.resource_label,
            e.result, e.interface, e.user_agent, e.changes, e.context
        FROM numbered e
        -- LEFT fixes the order of joins; a missing number would be refused by NOT NULL.
        LEFT JOIN log ON log.organization_id = e.organization_id
        LEFT JOIN subject r ON r.organization_id = e.organization_id AND r.kind = 'resource'
            AND r.type = e.resource_type AND r.id = e.resource_key
        LEFT JOIN subject a ON a.organization_id = e.organization_id AND a.kind = 'actor'
            AND a.type = e.actor_type AND a.id = e.actor_key
        RETURNING organization_id, id, seq, changes
    ), field AS (
        INSERT INTO audit_field AS f (organization_id, field, block, first_id, last_id)
        SELECT organization_id, left(name, {longest_field_name}), seq / {field_block},
            (array_agg(id ORDER BY id))[1], (array_agg(id ORDER BY id DESC))[1]
        FROM sealed CROSS JOIN LATERAL (
            SELECT jsonb_object_keys(changes) AS name UNION ALL SELECT '') AS each
        GROUP BY 1, 2, 3
        ON CONFLICT (organization_id, field, block) DO UPDATE SET
            first_id = least(f.first_id, EXCLUDED.first_id),
            last_id = greatest(f.last_id, EXCLUDED.last_id)
        WHERE f.first_id > EXCLUDED.first_id OR f.last_id < EXCLUDED.last_id
    )
    SELECT count(*) INTO moved_entries FROM sealed;
    RETURN moved_entries;
END $$;
REVOKE EXECUTE ON FUNCTION audit_move(xid8, xid8) FROM PUBLIC;

-- Seal one batch of settled entries. `is_behind`: more is settled above it. One session at a time:
-- the row of audit_sealing is locked until the transaction ends.
--
-- Only entries of transactions below the snapshot's xmin are taken, all of which have ended, so
-- nothing can appear behind. Each statement here has a snapshot of its own, later than the lock.
CREATE FUNCTION audit_seal(batch integer, OUT entries bigint, OUT is_behind boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    cluster CONSTANT bigint := (SELECT system_identifier FROM pg_control_system());
    state audit_sealing;
    settled xid8;
    first xid8;
    past xid8;
BEGIN
    IF batch IS NULL OR batch < 1 THEN
        RAISE EXCEPTION 'audit: a batch has at least one entry'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT * INTO state FROM audit_sealing FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'audit: audit_sealing has no row, which says where sealing stands'
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Was a dump restored without its data? If the rest is there, put it back as the'
                ' owner: INSERT INTO audit_sealing (system_identifier) VALUES (0). Everything in'
                ' the inbox is then sealed first, as after a restore.';
    END IF;
    entries := 0;
    settled := pg_snapshot_xmin(pg_current_snapshot());
    IF state.system_identifier <> cluster OR state.lo > settled THEN
        -- The cluster is another one (a restore, a failover that lost WAL): its transaction ids say
        -- nothing about entries that came with the data. Those have all committed.
        entries := audit_move('0', '9223372036854775808');
        DELETE FROM audit_left;
        UPDATE audit_sealing SET lo = '0', incarnation = incarnation + 1, sealed_at = now(),
            system_identifier = cluster, mark = NULL, mark_at = NULL;
        PERFORM audit_enter_sealing('new_incarnation');
        state.lo := '0';
        state.mark := NULL;
    END IF;
    SELECT min(xid), (SELECT xid FROM audit_inbox WHERE xid >= state.lo AND xid < settled
                      ORDER BY xid OFFSET batch LIMIT 1)
    INTO first, past FROM audit_inbox WHERE xid >= state.lo AND xid < settled;
    is_behind := past IS NOT NULL;
    -- A transaction larger than the batch is taken whole.
    past := CASE WHEN past IS NULL THEN settled
        WHEN past = first THEN (first::text::numeric + 1)::text::xid8 ELSE past END;
    entries := entries + audit_move(state.lo, past);
    -- Of transactions that have ended: nobody asks any more who left in them.
    DELETE FROM audit_left WHERE xid < past;
    -- An entry is dated when its transaction has its number. So those dated before now() are of
    -- transactions with smaller numbers than this one, which got its own later.
    IF past >= pg_current_xact_id() THEN
        state.complete_to := now();
        state.mark := NULL;
    ELSIF past >= state.mark THEN
        state.complete_to := state.mark_at;
        state.mark := NULL;
    END IF;
    IF state.mark IS NULL THEN
        state.mark := pg_current_xact_id();
        state.mark_at := now();
    END IF;
    UPDATE audit_sealing SET lo = past, sealed_at = now(), mark = state.mark,
        mark_at = state.mark_at, complete_to = greatest(complete_to, state.complete_to)
    WHERE entries > 0 OR sealed_at < now() - interval '1 second';
END $$;
REVOKE EXECUTE ON FUNCTION audit_seal(integer) FROM PUBLIC;
