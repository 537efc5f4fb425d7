"""One form of an e-mail address, by which accounts are found, counted, invited and reset.

Case folding as PostgreSQL's and as Python's differ (`ı`, `ſ`), so the form is made here alone and
stored beside the address: no look-up folds anything itself.
"""

from __future__ import annotations

import unicodedata
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models

LONGEST = 254


def canonical(address: str) -> str:
    """NFKC, case folded, and NFKC again, as folding can take it apart (Unicode, section 3.13); the
    domain in the letters that mail is sent to (IDNA)."""
    folded = unicodedata.normalize("NFKC", address.strip()).casefold()
    name, at, domain = unicodedata.normalize("NFKC", folded).rpartition("@")
    try:
        return f"{name}{at}{_in_ascii(domain) if at else domain}"
    except UnicodeError:
        return f"{name}{at}{domain}"  # not a domain of any address


def valid(address: str) -> str:
    """The address as it is kept and written to. Raises ValidationError.

    A name in quotes and an address instead of a domain would be second spellings, which nobody
    uses: they are refused.
    """
    name, at, domain = unicodedata.normalize("NFC", address.strip()).rpartition("@")
    try:
        if not domain.isascii():
            domain = _in_ascii(domain).encode().decode("idna")
        address = f"{name}{at}{domain.lower()}"
        form = canonical(address)
        validate_email(address)
        validate_email(form)
        is_plain = '"' not in name and "[" not in domain
    except (ValidationError, UnicodeError):
        is_plain = False
    if not is_plain or max(len(address), len(form)) > LONGEST:
        raise ValidationError({"email": "Enter a valid e-mail address."})
    return address


def _in_ascii(domain: str) -> str:
    """As Django sends mail to it. Raises UnicodeError."""
    return domain.encode("idna").decode("ascii")


def is_address(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True


class CanonicalEmailField(models.CharField):  # type: ignore[type-arg]
    """The canonical form of the row's `email`, kept in step with it."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", LONGEST)
        kwargs.setdefault("editable", False)
        super().__init__(**kwargs)

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        form = canonical(model_instance.email)  # type: ignore[attr-defined]
        setattr(model_instance, self.attname, form)
        return form
