"""The tenant scope: of which organizations a transaction may read the log.

Row-level security keeps it (`migrations/sql/4_view.sql`): a transaction that entered none reads
nothing, and what it asks of another organization is not there.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection

from django.db import connections, transaction

EVERYTHING = "*"
"""The scope of the operators' own commands, never of a request."""


def enter(organizations: Collection[uuid.UUID] | str, using: str = "default") -> None:
    """Let the rest of this transaction read the entries of `organizations` and no others.

    Raises TransactionManagementError outside a transaction: the scope would end with the statement.
    """
    value = organizations if isinstance(organizations, str) else ",".join(map(str, organizations))
    connection = connections[using]
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "entries can only be read inside a transaction; use transaction.atomic()"
        )
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('audit.organizations', %s, true)", [value])
