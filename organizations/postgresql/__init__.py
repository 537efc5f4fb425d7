"""The database backend: Django's own for PostgreSQL, whose writes are announced."""
