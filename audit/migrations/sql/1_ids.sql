-- Ids that carry their time (UUID version 7, RFC 9562 §5.7), made by the database.
--
-- Here and in the next files, a function that is run for the application (whose search path is its
-- own to choose) finds nothing by it: its body is parsed now (RETURN, BEGIN ATOMIC), or names the
-- schema of each type. Or who may make temporary types could make one called "uuid" with a cast of
-- their own: the time of an entry would be theirs to say.

-- The 48 bits of milliseconds, the version, 12 bits of the fraction of the millisecond (so that
-- entries of one transaction keep their order), the variant, 62 random bits. `moment` is used
-- once and nothing is selected from, so that the planner can inline it: called as a function it
-- cost more than the rest of an entry's INSERT.
CREATE FUNCTION audit_uuid7(moment timestamptz DEFAULT clock_timestamp()) RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE
    RETURN (
        overlay(lpad(to_hex(floor(extract(epoch FROM moment) * 4096000)::bigint), 15, '0')
                placing '7' FROM 13 FOR 0)
        || substr(gen_random_uuid()::text, 20)
    )::uuid;

-- The least id of its millisecond: a time window is a range of ids.
CREATE FUNCTION audit_uuid7_floor(moment timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0')
            || repeat('0', 20))::uuid;

-- The millisecond that an id begins with; `audit_uuid7_floor` of it is at or below the id.
CREATE FUNCTION audit_time(id uuid) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_timestamp(
        ('x' || substr(id::text, 1, 8) || substr(id::text, 10, 4))::bit(48)::bigint / 1000.0);

-- A uuid as the 26 characters that people and clients see (Crockford base32, five bits each, two
-- zero bits in front), two at a time out of a table of all pairs. A loop on purpose: spelled out as
-- one expression it is quicker by the thousand, but for a single row setting that expression up takes
-- several times as long as this.
CREATE FUNCTION audit_ulid(id uuid) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    bits CONSTANT bit(130) := B'00' || ('x' || replace(id::pg_catalog.text, '-', ''))::bit(128);
    written pg_catalog.text := '';
BEGIN
    FOR i IN 0..12 LOOP
        written := written || ('{ulid_pairs}'::pg_catalog.jsonb
                               ->> substring(bits FROM i * 10 + 1 FOR 10)::int);
    END LOOP;
    RETURN written;
END $$;

-- The inverse; NULL for what is not written so.
CREATE FUNCTION audit_uuid(written text) RETURNS uuid
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    bits bit varying := B'';
BEGIN
    IF written !~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$' THEN
        RETURN NULL;
    END IF;
    FOR i IN 1..26 LOOP
        bits := bits
            || (strpos('0123456789ABCDEFGHJKMNPQRSTVWXYZ', substr(written, i, 1)) - 1)::bit(5);
    END LOOP;
    RETURN (lpad(to_hex(substring(bits FROM 3 FOR 64)::bit(64)::bigint), 16, '0')
            || lpad(to_hex(substring(bits FROM 67 FOR 64)::bit(64)::bigint), 16, '0'))::pg_catalog.uuid;
END $$;

-- A JSON value as canonical JSON can hold it: numbers that are no safe integers become strings.
CREATE FUNCTION audit_recordable(value jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    CASE jsonb_typeof(value)
        WHEN 'number' THEN
            RETURN CASE WHEN value::numeric = trunc(value::numeric)
                AND scale(value::numeric) = 0 AND abs(value::numeric) <= 9007199254740991
                THEN value ELSE to_jsonb(value #>> '{}') END;
        WHEN 'array' THEN
            RETURN (SELECT COALESCE(jsonb_agg(audit_recordable(item) ORDER BY n), '[]')
                    FROM jsonb_array_elements(value) WITH ORDINALITY AS each (item, n));
        WHEN 'object' THEN
            RETURN (SELECT COALESCE(jsonb_object_agg(key, audit_recordable(item)), '{}')
                    FROM jsonb_each(value) AS each (key, item));
        ELSE
            RETURN value;
    END CASE;
END $$;
