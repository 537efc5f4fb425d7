"""The names of the demo's log, and how a question is compared with what it should mean."""

from __future__ import annotations

import datetime as dt
from typing import Any

from audit.questions import bar, periods
from audit.questions.bar.names import Listed
from audit.questions.bar.vocabulary import LOOKS

NOW = dt.datetime(2026, 11, 28, 15, tzinfo=dt.UTC)
"""A Saturday."""

PEOPLE = {
    "Olivia Owens": "olivia@acme.example",
    "Jane Doe": "jane@acme.example",
    "Dev Patel": "dev@acme.example",
    "Ada Brandt": "ada@acme.example",
    "Carl Nyström": "carl@acme.example",
    "Marco Rossi": "marco@acme.example",
    "Priya Raman": "priya@acme.example",
    "Sam Okafor": "sam@acme.example",
    "Lena Fischer": "lena@contractor.example",
    "Bill Novak": "bill@acme.example",
}
KEYS = ("ci", "preview-bot", "dev@laptop", "lena@laptop", "jane@workstation", "sam@laptop")
ODD_KEYS = ("build #7", "Deploy Bot", "müller-ci")
PATHS = (
    *("storefront/backend/production", "storefront/backend/staging", "storefront/web/production"),
    *("storefront/backend/development", "storefront/web/staging", "storefront/worker/production"),
    *("storefront/worker/staging", "payments/gateway/production", "payments/gateway/sandbox"),
    *("payments/ledger/production", "payments/ledger/staging", "analytics/etl/production"),
    *("data-warehouse/etl/production", "mobile-app/ios/production", "mobile-app/ios/staging"),
    *("mobile-app/android/production", "mobile-app/android/staging"),
    *("legacy-intranet/wiki/production", "signing-keys"),
)
LEVELS = ("project", "target", "environment")


def _things() -> list[tuple[str, str]]:
    found = {("membership", email) for email in PEOPLE.values()}
    found |= {("user", email) for email in PEOPLE.values()}
    found |= {("api_key", key) for key in (*KEYS, *ODD_KEYS)}
    found |= {("invitation", "olga@acme.example"), ("organization", "acme")}
    for path in PATHS:
        parts = path.split("/")
        for length, level in zip(range(1, len(parts) + 1), LEVELS, strict=False):
            found.add((level, "/".join(parts[:length])))
        found.add(("secret", path))
        found.add(("key_version", f"{parts[0]}/encryption-key/1"))
    return sorted(found)


LOG = Listed(
    actors=[
        *(("user", email) for email in PEOPLE.values()),
        *(("api_key", key) for key in (*KEYS, *ODD_KEYS)),
    ],
    things=_things(),
    people=PEOPLE,
    programs=("python-requests/2.31.0", "dotenv-sdk-go/1.4.2", "terraform-provider-dotenv/0.9.3"),
)


def read(text: str, reader: str = "ada@acme.example", tz: str = "UTC") -> bar.Question:
    return bar.read(text, tz, now=NOW, reader=reader, log=LOG)


def for_page(text: str) -> bar.Question:
    return bar.read_for_page(text, dt.UTC, NOW, "ada@acme.example", LOG)


def comparable(params: Any) -> dict[str, Any]:
    """Parameters without what is only another spelling: groups, words of time, `field:value`."""
    found: dict[str, Any] = {}
    ends: list[periods.Period] = []
    for name, values in params.items():
        if name in periods.TIMES:
            ends.append(periods.read(name, values[0], NOW, dt.UTC))
        elif name in ("tz", "order", "limit"):
            continue
        elif name in ("became", "was"):
            found[name] = {value.partition(":")[2] or value for value in values}
        elif name in ("action", "exclude_action"):
            found[name] = {"changes"} if len(values) > MANY else set(values)
        elif name == "days":
            found[name] = {day for value in values for day in _DAYS.get(value, value).split(",")}
        elif name in ("actor", "resource", "exclude_actor", "exclude_resource"):
            found[name] = {PEOPLE.get(value, value).lower() for value in values}
        else:
            found[name] = {str(value) for value in values}
    if ends:
        since, until = periods.common(ends)
        found["time"] = (since, None if until and until > NOW else until)
    return found


_DAYS = {"weekend": "sat,sun", "weekday": "mon,tue,wed,thu,fri"}
MANY = 15
"""Actions of a case that lists all that change something, as the catalogue was then."""


def summary(question: bar.Question) -> str:
    """What a question means on one line, as the table of sentences says it."""
    said = [bar.as_text(question.params)] if question.params else []
    for name in ("by", "at_least", "joint"):
        if value := getattr(question, name):
            said.append(f"{name}={value}")
    if question.by and question.limit:
        said.append(f"rows={question.limit}")
    said += ["how_many"] if question.is_count else []
    said += ["all"] if question.is_everything else []
    said += [f"page={question.page.name or 'none'}"] if question.page else []
    said += [f"{each.parameter}=({summary(each.question)})" for each in question.moments]
    said += [f"struck={each.words!r}" for each in question.struck]
    said += [f"mended={offer.text!r}" for offer in question.offers]
    if question.then:
        said.append(f"then=({summary(question.then)})")
    return " ".join(said).replace(f"action:{','.join(LOOKS)}", "action:LOOKS") or "nothing"
