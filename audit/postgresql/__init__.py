"""The database backend: Django's own for PostgreSQL, whose writes tell what they did to rows."""
