-- What left the ledger under retention, and whose entries may not.

-- Organizations whose entries stay, whatever their age. Lifting one removes its row; that it was
-- there is recorded in the organization's log.
CREATE TABLE audit_hold (
    organization_id uuid PRIMARY KEY,
    reason text NOT NULL CHECK (reason <> ''),
    placed_by text NOT NULL CHECK (placed_by <> ''),
    placed_at timestamptz NOT NULL DEFAULT now()
);

-- Each removal: the range of ids it took, what it was archived as, and the table that the
-- partition became until that is dropped. For the operators; organizations read their own part.
CREATE TABLE audit_archive (
    -- SHA-256 of the archive's manifest.
    manifest text PRIMARY KEY CHECK (manifest ~ '^[0-9a-f]{64}$'),
    name text NOT NULL,
    first_id uuid NOT NULL,
    past_id uuid NOT NULL,
    entries bigint NOT NULL,
    kept bigint NOT NULL,
    -- Organizations of which nothing was removed, as they were under legal hold.
    held uuid[] NOT NULL,
    removed_at timestamptz NOT NULL DEFAULT now(),
    detached text NOT NULL,
    dropped_at timestamptz
);

-- The retention boundary of an organization's log: what was removed below it, number by number.
CREATE TABLE audit_removal (
    organization_id uuid NOT NULL,
    until timestamptz NOT NULL,
    manifest text NOT NULL REFERENCES audit_archive,
    since timestamptz NOT NULL,
    removed_at timestamptz NOT NULL DEFAULT now(),
    entries bigint NOT NULL CHECK (entries > 0),
    kept bigint NOT NULL,
    -- Exactly the numbers in the archive: every other number of the log is in the ledger.
    numbers int8multirange NOT NULL,
    PRIMARY KEY (organization_id, until, manifest)
);

CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_removal
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_append_only BEFORE DELETE OR TRUNCATE ON audit_archive
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
-- That the table was dropped is all that is ever added.
CREATE TRIGGER audit_only_dropping BEFORE UPDATE OF
    manifest, name, first_id, past_id, entries, kept, held, removed_at, detached ON audit_archive
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

ALTER TABLE audit_hold ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_hold FOR SELECT
    USING (audit_may_read(organization_id, (SELECT audit_readable())));

ALTER TABLE audit_removal ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_tenant_scope ON audit_removal FOR SELECT
    USING (audit_may_read(organization_id, (SELECT audit_readable())));
