"""The HTTP API: plumbing (principal, errors, paging) and one module of views a subject."""
