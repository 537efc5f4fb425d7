"""The admin site: read-only review."""
