"""What entries say of the places of things, in SQL: made from the policy, and renewed after each
`migrate`. The sealer and the views of the log ask these functions (migrations/sql/4_view.sql)."""

from __future__ import annotations

import re

from audit import policy
from audit.policy import Resource
from organizations import ulid

_FUNCTIONS = """
-- Whether an entry with these changes says what a thing is called, or what it lies below.
CREATE OR REPLACE FUNCTION audit_is_naming(changes jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN changes ?| ARRAY[{columns}];

-- What a thing lies below, as these changes say it; all zeros for what lies below nothing.
CREATE OR REPLACE FUNCTION audit_parent_of(type text, changes jsonb) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE type {parents} ELSE '{nil}'::uuid END;

-- What a thing of this label adds to the label of what it lies below.
CREATE OR REPLACE FUNCTION audit_own_name(type text, label text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE type {names} ELSE label END;
"""


def functions() -> str:
    """SQL that makes the functions, or renews them."""
    below = [spec for spec in policy.RESOURCES if spec.below]
    return _FUNCTIONS.format(
        columns=", ".join(f"'{column}'" for column in sorted(_naming_columns())),
        parents=" ".join(f"WHEN '{spec.name}' THEN {_parent(spec)}" for spec in below),
        names=" ".join(f"WHEN '{spec.name}' THEN {_own_name(spec)}" for spec in below),
        nil=ulid.NIL,
    )


def _naming_columns() -> set[str]:
    """Columns that labels are made of, and those that lead to what a row lies below."""
    columns: set[str] = set()
    for spec in policy.RESOURCES:
        in_label = set(re.findall(r"\br\.(\w+)", spec.label))
        columns |= {*spec.below, *in_label.intersection(policy.recorded_columns(spec))}
    return columns


def _parent(spec: Resource) -> str:
    sides = [f"changes -> '{column}' ->> {side}" for column in spec.below for side in (1, 0)]
    return f"audit_uuid(COALESCE({', '.join(sides)}))"


def _own_name(spec: Resource) -> str:
    return f"substring(label FROM '{spec.own_name}')" if spec.own_name else "''"
