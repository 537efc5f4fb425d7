-- Redaction, as audit/redaction.py does it, by the same pattern (organizations/secret_forms.py).

-- The text with every secret replaced by a mark, again until nothing changes: what stood on two sides
-- of a secret may be one without it. The pattern takes 40 µs a line, so it is asked of texts alone
-- that have in them what each secret has.
CREATE FUNCTION audit_redacted(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    before pg_catalog.text;
BEGIN
    WHILE value {like_any_secret} AND value IS DISTINCT FROM before LOOP
        before := value;
        value := regexp_replace(value, $re${secret_pattern}$re$, '{secret_replacement}', 'g');
    END LOOP;
    RETURN value;
END $$;

-- Every text in it redacted, names included.
CREATE FUNCTION audit_redacted_json(value jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF NOT value::pg_catalog.text {like_any_secret} THEN
        RETURN value;
    END IF;
    CASE jsonb_typeof(value)
        WHEN 'string' THEN
            RETURN to_jsonb(public.audit_redacted(value #>> '{}'));
        WHEN 'array' THEN
            RETURN (SELECT jsonb_agg(public.audit_redacted_json(item) ORDER BY n)
                    FROM jsonb_array_elements(value) WITH ORDINALITY AS each (item, n));
        WHEN 'object' THEN
            RETURN (SELECT jsonb_object_agg(
                        public.audit_redacted(key), public.audit_redacted_json(item))
                    FROM jsonb_each(value) AS each (key, item));
        ELSE
            RETURN value;
    END CASE;
END $$;

CREATE FUNCTION audit_is_redacted(VARIADIC texts text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE BEGIN ATOMIC
    SELECT bool_and(audit_redacted(value) = value) FROM unnest(texts) AS each (value);
END;
