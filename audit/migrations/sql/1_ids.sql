-- Ids that carry their time (UUID version 7, RFC 9562 §5.7), made by the database.

-- The 48 bits of milliseconds, the version, 12 bits of the fraction of the millisecond (so that
-- entries of one transaction keep their order), the variant, 62 random bits.
CREATE FUNCTION audit_uuid7(moment timestamptz DEFAULT clock_timestamp()) RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(
        substring(int8send(us / 1000) FROM 3)
        || substring(int8send(x'7000'::bigint + us % 1000 * 4096 / 1000) FROM 7)
        || substring(uuid_send(gen_random_uuid()) FROM 9),
        'hex')::uuid
    FROM (SELECT (extract(epoch FROM moment) * 1000000)::bigint) AS instant (us)
$$;

-- The least id of its millisecond: a time window is a range of ids.
CREATE FUNCTION audit_uuid7_floor(moment timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0')
            || repeat('0', 20))::uuid
$$;

-- A uuid as the 26 characters that people and clients see (Crockford base32).
CREATE FUNCTION audit_ulid(id uuid) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT string_agg(
        substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ',
               substring(bits FROM i * 5 + 1 FOR 5)::int + 1, 1), '' ORDER BY i)
    FROM (SELECT B'00' || ('x' || replace(id::text, '-', ''))::bit(128)) AS b (bits),
         generate_series(0, 25) AS i
$$;
