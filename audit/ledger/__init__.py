"""Where entries lie: sealed, packed, merged; the database's roles and its health."""
