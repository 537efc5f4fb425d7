"""The API as clients meet it: over HTTP, with tokens."""
