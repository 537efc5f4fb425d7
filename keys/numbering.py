"""Integer names for secrets and their versions: counted per organization, so that they reveal
nothing about how busy the others are."""

from __future__ import annotations

import uuid

from django.db import connection


def take(organization_id: uuid.UUID, count: int = 1) -> range:
    """The next `count` numbers. Others who take one wait for the end of this transaction, so take
    them late."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO keys_numbering AS n (organization_id, last) VALUES (%s, %s)"
            " ON CONFLICT (organization_id) DO UPDATE SET last = n.last + EXCLUDED.last"
            " RETURNING last",
            [organization_id, count],
        )
        [last] = cursor.fetchone()
    return range(last - count + 1, last + 1)
