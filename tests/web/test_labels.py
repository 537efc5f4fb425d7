"""Names: refused or tidied where they are given, and kept to themselves where they are shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from django.apps import apps
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import connections, models, transaction
from django.test import Client

from audit.entry import bulk_json
from audit.models import Entry
from keys import access_tokens
from organizations import creation, emails, hierarchy
from organizations.grants import Grant
from organizations.labels import FSI, PDI, DescriptionField, LabelField, isolated
from organizations.models import Organization, Project, User
from tests.factories import (
    ApiKeyFactory,
    EnvironmentFactory,
    OrganizationFactory,
    ProjectFactory,
    UserFactory,
)
from tests.web.conftest import Browser

REFUSED = [
    "Acme\r\nBcc: evil@example.com",
    "a\nb",
    "a\tb",
    "a\x00b",
    "a\x1b[31mb",
    "a\x7fb",
    "a\x9bb",
    "a\u2028b",
    "a\u202eb",
    "a\u2066b",
    "\u200b\u200d",
    "a\u034fb",
    "a\u3164b",
    "a\U000e0062\U000e0063b",
    "\u200e\ufe0f",
    "\u2800 \u2800",
    "\uffa0",
]


def doors(acme: Organization, owner: User) -> dict[str, Callable[[str], Any]]:
    """Each way to give something a name."""
    project = ProjectFactory.create(organization=acme, name="Shop")
    target = hierarchy.create_target(project, "Web")
    return {
        "organization": lambda name: creation.create_organization(name, owner=owner),
        "organization changed": lambda name: creation.update_organization(
            acme, granter=Grant(frozenset()), name=name
        ),
        "project": lambda name: ProjectFactory.create(organization=acme, name=name),
        "project changed": lambda name: hierarchy.update_node(project, {"name": name}),
        "target": lambda name: hierarchy.create_target(project, name),
        "environment": lambda name: hierarchy.create_environment(target, name),
        "API key": lambda name: ApiKeyFactory.create(organization=acme, name=name).api_key,
        "access token": lambda name: access_tokens.create(owner, name).access_token,
        "person": lambda name: UserFactory.create(name=name),
        "many at once": lambda name: Project.objects.filter(pk=project.pk).update(name=name),
    }


DOORS = (
    "organization",
    "organization changed",
    "project",
    "project changed",
    "target",
    "environment",
    "API key",
    "access token",
    "person",
    "many at once",
)


@pytest.mark.parametrize("door", DOORS)
def test_a_name_that_is_not_one_line_is_refused(acme: Organization, owner: User, door: str) -> None:
    give = doors(acme, owner)[door]
    for name in REFUSED:
        with pytest.raises(ValidationError) as refused, transaction.atomic():
            give(name)
        assert list(refused.value.message_dict) == ["name"], name


@pytest.mark.parametrize("door", [door for door in DOORS if door != "many at once"])
def test_a_name_is_trimmed_and_composed(acme: Organization, owner: User, door: str) -> None:
    made = doors(acme, owner)[door]("  Cafe\u0301  ")
    assert made.name == "Café"
    made.refresh_from_db()
    assert made.name == "Café"


def test_every_text_that_people_give_is_of_a_kind_that_is_checked() -> None:
    """A new name or description has to be one of the checked fields."""
    unchecked = {
        f"{model._meta.label}.{field.name}"
        for label in ("organizations", "keys", "audit")
        for model in apps.get_app_config(label).get_models()
        if model._meta.managed
        for field in model._meta.get_fields()
        if isinstance(field, models.CharField | models.TextField)
        and not isinstance(field, LabelField | DescriptionField)
        and (field.name in ("name", "title", "label", "description") or "hint" in field.name)
    }
    assert unchecked == set()


def test_an_organization_that_is_named_like_a_header_invites_nobody(
    acme: Organization, owner: User, browser: Browser
) -> None:
    answer = browser(owner).post("/o/acme/settings", {"name": "Acme\r\nBcc: evil@example.com"})
    assert answer.status_code == 422
    acme.refresh_from_db()
    assert acme.name == "Acme"


# -- Where they are shown

EVIL = "שלום \u202egnp.exe"


@pytest.fixture
def evil(owner: User, superuser_connection: Any, transactional_db: None) -> Organization:
    """An organization whose names would reorder what stands beside them, from before the rule."""
    found = OrganizationFactory.create(name="Acme", owner=owner)
    EnvironmentFactory.create(
        target__project__organization=found, target__project__name="Shop", target__name="Web"
    )
    ApiKeyFactory.create(organization=found, name="evil", created_by=owner)
    access_tokens.create(owner, "mine")
    with superuser_connection.transaction():
        superuser_connection.execute("SET LOCAL session_replication_role = replica")
        # Only the owner enters what is the database's.
        superuser_connection.execute(f"SET LOCAL ROLE {connections['owner'].settings_dict['USER']}")
        for table, column in (
            ("organizations_organization", "name"),
            ("organizations_project", "name"),
            ("organizations_target", "name"),
            ("organizations_environment", "name"),
            ("organizations_user", "name"),
            ("keys_apikey", "name"),
            ("keys_accesstoken", "name"),
            ("audit_inbox", "resource_label"),
            ("audit_inbox", "actor_label"),
        ):
            superuser_connection.execute(f"UPDATE {table} SET {column} = %s", [EVIL])
    return found


class Texts(HTMLParser):
    """What a page shows: the text of each block, without what a form lets one edit."""

    BLOCKS = (
        *("p", "div", "td", "th", "li", "h1", "h2", "h3", "dt", "dd", "tr", "table", "ul", "ol"),
        *("section", "nav", "header", "footer", "main", "option", "label", "title", "summary"),
    )

    def __init__(self) -> None:
        super().__init__()
        self.blocks = [""]

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        if tag in self.BLOCKS:
            self.blocks.append("")

    def handle_endtag(self, tag: str) -> None:
        self.handle_starttag(tag, None)

    def handle_data(self, data: str) -> None:
        self.blocks[-1] += data


def assert_isolated(text: str) -> None:
    outside = re.sub(f"{FSI}[^{PDI}]*{PDI}", "", text)
    assert "\u202e" not in outside, repr(outside[:300])


PAGES = (
    "/organizations",
    "/profile",
    "/o/acme/projects",
    "/o/acme/projects/shop",
    "/o/acme/projects/shop/targets/web",
    "/o/acme/projects/shop/delete",
    "/o/acme/members",
    "/o/acme/api-keys",
    "/o/acme/settings",
    "/o/acme/activity",
    "/o/acme/projects/shop/keys",
)


@pytest.mark.parametrize("path", PAGES)
def test_a_name_on_a_page_reorders_nothing_beside_it(
    evil: Organization, owner: User, browser: Browser, path: str
) -> None:
    answer = browser(User.objects.get(pk=owner.pk)).get(path)
    assert answer.status_code == 200
    page = answer.content.decode()
    assert "\u202e" in page
    texts = Texts()
    texts.feed(page)
    for block in texts.blocks:
        # A block that holds the name alone is isolated by being a block.
        if block.strip() != EVIL:
            assert_isolated(block)


def test_an_entry_and_an_export_reorder_nothing(
    evil: Organization, owner: User, browser: Browser
) -> None:
    with transaction.atomic():
        visible = Entry.objects.visible([evil.pk])  # type: ignore[attr-defined]
        entry = visible.order_by("-id")[0]
        rows = bulk_json.read(visible.order_by("id")[:5])
    client = browser(User.objects.get(pk=owner.pk))
    texts = Texts()
    texts.feed(client.get(f"/o/acme/activity/{entry.ulid}").content.decode())
    for block in texts.blocks:
        if "{" not in block and block.strip() != EVIL:
            assert_isolated(block)
    for cells in bulk_json.cells(rows):
        for cell in cells:
            assert_isolated(cell or "")


def test_a_cell_drives_no_terminal() -> None:
    assert bulk_json._harmless("a\x1b]0;title\x07b\x9b31m") == "a]0;titleb31m"


def test_what_runs_from_right_to_left_is_closed_however_it_is_left_open() -> None:
    for text in ("\u202eabc", "\u2067abc", "abc\u2069def", "\u2067a\u2069\u2069b", "שלום"):
        shown = isolated(text)
        depth = 0
        for character in shown:
            depth += character in "\u2066\u2067\u2068"
            depth -= character == PDI
            assert depth >= 0
        assert depth == 0
        assert (shown[0], shown[-1]) == (FSI, PDI)
    assert isolated("plain – und bündig") == "plain – und bündig"


# -- Addresses


@pytest.mark.parametrize(
    ("typed", "same"),
    [
        ("Ada@Example.org", "ada@example.org"),
        (" ada@example.org ", "ada@example.org"),
        ("ada@example。org", "ada@example.org"),
        ("aﬀa@example.org", "affa@example.org"),
        ("adaſ@example.org", "adas@example.org"),
        ("ADA@ＥＸＡＭＰＬＥ.org", "ada@example.org"),
        ("ada@Bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@bu\u0308cher.example", "ada@XN--BCHER-KVA.example"),
        ("ada@exam\u00adple.org", "ada@example.org"),
        ("ada@exam\u200dple.org", "ada@example.org"),
        ("ada@faß.example", "ada@fass.example"),
    ],
)
def test_addresses_have_one_form(typed: str, same: str) -> None:
    assert emails.canonical(typed) == emails.canonical(same)
    assert emails.canonical(emails.canonical(typed)) == emails.canonical(typed)


@pytest.mark.parametrize(
    "typed",
    [
        '"ada"@example.org',
        "ada@[127.0.0.1]",
        "ada@[::1]",
        "ada@example.org.",
        "ada@\u202eexample.org",
        "ada@-.org",
        f"ada@{'.'.join(['ﬃ' * 20] * 5)}.example",
        f"ada@{'.'.join(['x' * 60] * 5)}.example",
    ],
)
def test_what_would_be_a_second_spelling_or_no_line_is_no_address(
    acme: Organization, typed: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        emails.valid(typed)
    assert list(refused.value.message_dict) == ["email"]
    headers = {"authorization": f"Bearer {ApiKeyFactory.create(organization=acme).token}"}
    answer = Client().post(
        "/api/v1/organizations/acme/members",
        {"email": typed, "role": "member"},
        content_type="application/json",
        headers=headers,
    )
    assert answer.status_code == 422, answer.content


def test_an_address_is_kept_as_it_is_read() -> None:
    assert emails.valid(" Ada@Bu\u0308cher.EXAMPLE") == "Ada@bücher.example"
    assert emails.valid("ada@exam\u00adple.org") == "ada@example.org"
    assert emails.valid("ada@xn--bcher-kva.example") == "ada@xn--bcher-kva.example"


def test_a_dotless_i_is_another_letter_for_everybody() -> None:
    assert emails.canonical("ıda@example.org") != emails.canonical("ida@example.org")


def test_mail_of_an_organization_keeps_its_name_to_itself(
    evil: Organization, owner: User, browser: Browser
) -> None:
    client = browser(User.objects.get(pk=owner.pk))
    client.post("/o/acme/members", {"email": "new@example.org", "role": "member"})
    [message] = mail.outbox
    assert_isolated(str(message.subject))
    assert_isolated(str(message.body))
