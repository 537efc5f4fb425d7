"""What people call things: tidied and checked where it is stored, kept to itself where it is shown.

A label is one line that people can see. All are stored through these fields, which
trim it, compose it (NFC), and refuse what would break a header, a terminal or a line apart.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from organizations import secret_forms

_REORDERING = "\u202a-\u202e\u2066-\u2069"
"""Embeddings, overrides and isolates: what comes after a name must not be at its mercy."""
_UNSEEN = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0"
    "\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff"
    "\U000e01f0-\U000e0fff"
)
"""Characters that are not seen and that no script needs between its letters (Unicode's
Default_Ignorable_Code_Point, but for joiners, marks and selectors of variants)."""
_REFUSED = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029{_UNSEEN}{_REORDERING}\ud800-\udfff]")
_REFUSED_IN_TEXT = re.compile(_REFUSED.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))
_INVISIBLE = ("Cf", "Zs", "Zl", "Zp", "Cc")
_BLANK = re.compile(f"[{_UNSEEN}\u180b-\u180f\u2800\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""What alone is not seen either, whatever its category."""

FSI, PDI = "\u2068", "\u2069"


def tidy(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())


def check(text: str) -> None:
    """Raise ValidationError unless the text is a line that can be seen."""
    if _REFUSED.search(text):
        raise ValidationError(
            "Use one line, without control characters and without characters that are not seen or"
            " that change the direction.",
            code="control_characters",
        )
    if text and not any(map(_is_seen, text)):
        raise ValidationError("Use a name with visible characters.", code="invisible")
    _refuse_secret(text)


def _is_seen(character: str) -> bool:
    return unicodedata.category(character) not in _INVISIBLE and not _BLANK.match(character)


def looks_like(text: str) -> str:
    """What people read in a name, to compare it with another: without case, compatibility forms,
    what is not seen, and what stands around it."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    spaced = (" " if character.isspace() else character for character in folded)
    seen = "".join(one for one in spaced if one == " " or _is_seen(one))
    words = " ".join(seen.split())
    return words.strip("".join(one for one in words if unicodedata.category(one)[0] in "PSZ"))


def check_text(text: str) -> None:
    """Raise ValidationError unless the text, which may have lines and tabs, can be shown."""
    if _REFUSED_IN_TEXT.search(text):
        raise ValidationError(
            "Do not use control characters, or characters that are not seen or that change the"
            " direction.",
            code="control_characters",
        )
    _refuse_secret(text)


def _refuse_secret(text: str) -> None:
    if secret_forms.is_in(text):
        raise ValidationError(
            "This looks like a token, a private key or an address with a password. Names and"
            " descriptions are not encrypted, and more people see them: store it as a secret.",
            code="secret",
        )


class _Checked:
    """The one door: forms, `save`, `bulk_create` and `QuerySet.update` pass it."""

    name: str
    attname: str
    default_validators: list[Any]

    def tidied(self, value: Any) -> Any:
        return tidy(value) if isinstance(value, str) else value

    def to_python(self, value: Any) -> Any:
        return self.tidied(super().to_python(value))  # type: ignore[misc]

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = self.tidied(super().pre_save(model_instance, add))  # type: ignore[misc]
        setattr(model_instance, self.attname, value)
        return value

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        value = self.tidied(value)
        if isinstance(value, str):
            try:
                for validate in self.default_validators:
                    validate(value)
            except ValidationError as error:
                raise ValidationError({self.name: error.messages}) from None
        return super().get_db_prep_save(value, connection)  # type: ignore[misc]

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, _, args, kwargs = super().deconstruct()  # type: ignore[misc]
        return name, f"django.db.models.{self.plain}", args, kwargs  # type: ignore[attr-defined]


class LabelField(_Checked, models.CharField):  # type: ignore[type-arg]
    """A name."""

    plain = "CharField"
    default_validators = [check]


class DescriptionField(_Checked, models.TextField):  # type: ignore[type-arg]
    """A text of several lines."""

    plain = "TextField"
    default_validators = [check_text]

    def tidied(self, value: Any) -> Any:
        return tidy(value).replace("\r\n", "\n") if isinstance(value, str) else value


# -- Where it is shown

_TURNS = frozenset(("R", "AL", "AN", "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))
_OPENING = frozenset(("LRI", "RLI", "FSI"))


def isolated(text: object) -> str:
    """The text so that what stands beside it is read in its own order (Unicode, annex 9).

    Unchanged unless something in it runs from right to left or says so; labels of the log may be
    older than any rule here.
    """
    text = str(text)
    if text.isascii() or not any(unicodedata.bidirectional(one) in _TURNS for one in text):
        return text
    kept: list[str] = []
    still_open = 0
    for character in text:
        kind = unicodedata.bidirectional(character)
        if kind == "PDI":
            if not still_open:
                continue  # it would end the isolation around it
            still_open -= 1
        still_open += kind in _OPENING
        kept.append(character)
    return f"{FSI}{''.join(kept)}{PDI * still_open}{PDI}"
