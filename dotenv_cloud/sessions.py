"""Sessions in the database that only their cookie can open.

The identifier of a session is stored as a hash. Its data (including the token of a password reset
link while its form is open) is encrypted with a key derived from the cookie. A dump of the database
therefore lets nobody act as a signed-in user or use a reset link.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends import db
from django.utils import timezone

from keys import crypto


class SessionStore(db.SessionStore):
    """Django's store, with nothing readable in the database."""

    def encode(self, session_dict: dict[str, Any]) -> str:
        signed = super().encode(session_dict)
        session_key = self._get_or_create_session_key()  # type: ignore[attr-defined]
        blob = crypto.encrypt(_data_key(session_key), signed.encode())
        return base64.b64encode(blob).decode()

    def decode(self, session_data: bytes | str) -> dict[str, Any]:
        try:
            blob = base64.b64decode(session_data, validate=True)
            signed = crypto.decrypt(_data_key(self.session_key or ""), blob)
        except (binascii.Error, crypto.UnwrapError):
            return {}
        return super().decode(signed.decode())  # type: ignore[arg-type]  # the stubs say bytes

    def exists(self, session_key: str) -> bool:
        return super().exists(_kept(session_key))

    def delete(self, session_key: str | None = None) -> None:
        session_key = session_key or self.session_key
        if session_key is not None:
            super().delete(_kept(session_key))

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        row = super().create_model_instance(data)
        row.session_key = _kept(row.session_key)
        return row

    def _get_session_from_db(self) -> Any:
        found = self.model.objects.filter(
            session_key=_kept(self.session_key or ""), expire_date__gt=timezone.now()
        ).first()
        if found is None:
            self._session_key = None
        return found

    async def aexists(self, session_key: str) -> bool:
        return await sync_to_async(self.exists)(session_key)

    async def adelete(self, session_key: str | None = None) -> None:
        await sync_to_async(self.delete)(session_key)

    async def acreate_model_instance(self, data: dict[str, Any]) -> Any:
        return await sync_to_async(self.create_model_instance)(data)

    async def _aget_session_from_db(self) -> Any:
        return await sync_to_async(self._get_session_from_db)()


def _kept(session_key: str) -> str:
    """What the table stores instead: 240 bits, the 40 characters that Django has room for."""
    return base64.urlsafe_b64encode(hashlib.sha256(session_key.encode()).digest()[:30]).decode()


def _data_key(session_key: str) -> bytes:
    return hmac.digest(session_key.encode(), b"what the session holds", "sha256")
