"""An entry as the admin shows it to one reader: in their time zone, leading on to its histories."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.entry.actors import described
from audit.entry.references import is_gone, look_up
from audit.entry.sentences import as_words
from audit.models import Entry
from organizations import ulid
from organizations.labels import isolated
from organizations.models import Organization

WITH_HISTORY = ("user", "api_key")
"""Kinds of actors that are the same one again under the same id."""


class Columns:
    """What the list and the page of an entry have for columns and fields."""

    def __init__(
        self,
        zone: dt.tzinfo,
        organizations: Mapping[uuid.UUID, Organization],
        admins: Mapping[type[Model], Any],
    ) -> None:
        """admins: of the models whose rows have a page here."""
        self._zone = zone
        self._organizations = organizations
        self._admins = admins

    def look_up(self, entries: list[Entry], request: HttpRequest) -> None:
        """Read which actors and resources are still there, as far as their own pages show them."""
        shown = [each.get_queryset(request) for each in self._admins.values()]
        look_up(entries, list(self._organizations), shown)

    @admin.display(description="time")
    def when(self, entry: Entry) -> str:
        return f"{entry.time.astimezone(self._zone):%Y-%m-%d %H:%M:%S}"

    @admin.display(description="actor")
    def who(self, entry: Entry) -> str:
        text = described(entry.actor_type, entry.actor_label)
        name = f"{isolated(entry.actor_name)}, " if entry.actor_name else ""
        return self._of_actor(entry, f"{name}{text}")

    @admin.display(description="action")
    def done(self, entry: Entry) -> str:
        return as_words(entry.action)

    @admin.display(description="resource")
    def what(self, entry: Entry) -> str:
        return self._of_resource(
            entry, f"{entry.resource_type_label} {isolated(entry.resource_label)}"
        )

    @admin.display(description="result")
    def shown_result(self, entry: Entry) -> str:
        return f"{entry.result}: {as_words(entry.reason)}" if entry.reason else entry.result

    @admin.display(description="way")
    def way(self, entry: Entry) -> str:
        return entry.interface

    @admin.display(description="IP address")
    def address(self, entry: Entry) -> str:
        return entry.ip or "–"

    # -- Of an entry's own page

    @admin.display(description="time")
    def moment(self, entry: Entry) -> str:
        local = entry.time.astimezone(self._zone)
        return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03} {local.tzname()}"

    @admin.display(description="organization")
    def organization(self, entry: Entry) -> str:
        found = self._organizations.get(entry.organization_id)
        return isolated(found.name) if found else ulid.to_text(entry.organization_id)

    @admin.display(description="actor")
    def actor(self, entry: Entry) -> str:
        key = f" {ulid.to_text(entry.actor_id)}" if entry.actor_id else ""
        text = self._of_actor(entry, f"{isolated(entry.actor_label)} ({entry.actor_type}{key})")
        return self._with_row(entry, "actor", text)

    @admin.display(description="resource")
    def resource(self, entry: Entry) -> str:
        key = f" ({ulid.to_text(entry.resource_id)})" if entry.resource_id else ""
        text = self._of_resource(
            entry, f"{entry.resource_type_label} {isolated(entry.resource_label)}{key}"
        )
        return self._with_row(entry, "resource", text)

    @admin.display(description="what changed")
    def what_changed(self, entry: Entry) -> SafeString:
        return render_to_string("admin/audit/entry/changes.html", {"entry": entry})

    @admin.display(description="facts")
    def facts(self, entry: Entry) -> SafeString:
        return render_to_string("admin/audit/entry/facts.html", {"facts": entry.context})

    @admin.display(description="user agent")
    def user_agent(self, entry: Entry) -> str:
        return isolated(entry.user_agent) or "–"

    @admin.display(description="request")
    def request(self, entry: Entry) -> str:
        if entry.request_id is None:
            return "–"
        key = ulid.to_text(entry.request_id)
        address = f"{reverse('admin:audit_entry_changelist')}?request={key}"
        return format_html('<a href="{}" title="Everything in this request">{}</a>', address, key)

    @admin.display(description="number")
    def number(self, entry: Entry) -> str:
        return f"{entry.seq:,} in this log" if entry.is_sealed else "not sealed yet"

    @admin.display(description="entry")
    def key(self, entry: Entry) -> str:
        return entry.ulid

    # -- The row as it is now, on its own page here

    def _with_row(self, entry: Entry, name: str, text: str) -> str:
        row = getattr(entry, name)
        if row is not None and type(row) in self._admins:
            meta = row._meta
            address = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])
            return format_html('{} · <a href="{}">As it is now</a>', text, address)
        return format_html("{} (no longer here)", text) if is_gone(entry, name) else text

    # -- Histories, on the review pages

    def _of_actor(self, entry: Entry, text: str) -> str:
        key = entry.actor_id if entry.actor_type in WITH_HISTORY else None
        return self._leading("actor_history", entry, key, text, is_gone(entry, "actor"))

    def _of_resource(self, entry: Entry, text: str) -> str:
        gone = is_gone(entry, "resource")
        return self._leading("resource_history", entry, entry.resource_id, text, gone)

    def _leading(
        self, page: str, entry: Entry, key: uuid.UUID | None, text: str, gone: bool
    ) -> str:
        organization = self._organizations.get(entry.organization_id)
        if key is None or organization is None:
            return text
        address = reverse(page, args=[organization.slug, ulid.to_text(key)])
        if gone:
            return format_html(
                '<a class="gone" href="{}" title="History; no longer here">{}</a>',
                address,
                text,
            )
        return format_html('<a href="{}" title="History">{}</a>', address, text)
