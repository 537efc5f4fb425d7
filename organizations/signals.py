"""Named signals for what is no row change. Whoever cares may listen; nothing here does.

`access_denied`: sender, request, status (int), reason (an error code), organization_id (or None).
`content_revealed`: sender (the model), verb ("retrieve", "read", ...), revealed (each instance that
is revealed at once, with its facts: a dict).
`token_used`: sender (the model), token, is_first (bool): for the first time, or from an address
that it was not used from before.
A receiver that raises stops the request: a reveal that cannot be recorded must not happen.
"""

from __future__ import annotations

from django.dispatch import Signal

access_denied = Signal()
content_revealed = Signal()
token_used = Signal()
