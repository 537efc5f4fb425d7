"""Whatever a form gets and an entry contains, the page answers; nothing crashes."""

from __future__ import annotations

import json
import re
from html import unescape
from urllib.parse import urlencode

import pytest

from audit import policy
from keys.models import SecretVersion
from organizations.models import Organization, User
from tests.conftest import Connection
from tests.factories import ApiKeyFactory, LevelFactory, SecretFactory
from tests.web.conftest import Browser

PROJECT = "/o/acme/projects/my-app"
TARGET = f"{PROJECT}/targets/backend"
ENVIRONMENT = f"{TARGET}/environments/production"
PAGES = [
    "/organizations/new",
    "/o/acme/settings",
    "/o/acme/settings/delete",
    "/o/acme/members",
    "/o/acme/new-project",
    f"{PROJECT}/change",
    f"{PROJECT}/delete",
    f"{PROJECT}/new-target",
    f"{PROJECT}/keys/rotate",
    f"{PROJECT}/custody",
    f"{TARGET}/change",
    f"{TARGET}/new-environment",
    f"{ENVIRONMENT}/change",
    f"{ENVIRONMENT}/versions",
    "/o/acme/api-keys/new",
    "/o/acme/api-keys/{key}/change",
    "/o/acme/api-keys/{key}",
    "/o/acme/versions/{version}",
]
NONSENSE = ["", "\x00", "a" * 5000, "9" * 60, "\u202e😀../'", b"\xff\xfe"]
"""None of them fits a slug: the page has to stay where it is."""

FIELD = re.compile(r'<(?:input|select|textarea)[^>]*\sname="([^"]+)"(?:[^>]*\svalue="([^"]*)")?')


def fields_of(page: str) -> dict[str, str]:
    found = {name: unescape(value) for name, value in FIELD.findall(page)}
    found.pop("csrfmiddlewaretoken", None)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_no_form_crashes(page: str, acme: Organization, owner: User, browser: Browser) -> None:
    level = LevelFactory.create(project__organization=acme)
    for plaintext in (b"A=1", b"A=2"):
        SecretFactory.create(level=level, plaintext=plaintext)
    key = ApiKeyFactory.create(organization=acme, abilities=["secret:read"]).api_key
    address = page.format(key=key.ulid, version=SecretVersion.objects.get().number)
    client = browser(owner)
    fields = {**fields_of(client.get(address).content.decode()), "sure": "yes"}
    for place, name in enumerate([*fields, "action"]):
        # Two a field, others for the next: a page has many fields, and they are read alike.
        for value in NONSENSE[place % 3 :: 3]:
            body = urlencode({**fields, name: value})
            answer = client.post(address, body, content_type="application/x-www-form-urlencoded")
            # 404 once what the page is about has been deleted by one of its forms.
            assert answer.status_code in (200, 201, 302, 404, 409, 422, 429), (name, value)


FACTS = sorted({fact for action in policy.ACTIONS for fact in action.context})


@pytest.mark.parametrize(
    "fact",
    ["many", "", None, True, -1, 1.5, 2**53 - 1, [], [1, {"a": None}], {"a": {"b": [1]}}],
    ids=str,
)
def test_no_entry_crashes_the_log(
    fact: object,
    acme: Organization,
    owner: User,
    browser: Browser,
    superuser_connection: Connection,
) -> None:
    """The application's role can enter events that say nonsense, the superuser more of it, and
    nobody else can remove them."""
    context = json.dumps(dict.fromkeys((*FACTS, *policy.ALWAYS_ALLOWED), fact))
    superuser_connection.execute(
        "INSERT INTO audit_inbox (organization_id, actor_type, actor_label, action,"
        " resource_type, resource_label, result, interface, context)"
        " SELECT %s, 'user', 'mallory', action, type, 'x', result, 'api', %s::jsonb"
        " FROM unnest(%s::text[]) AS action, unnest(%s::text[]) AS type,"
        " unnest(%s::text[]) AS result"
        " WHERE NOT audit_is_of_row(action)",
        [
            acme.pk,
            context,
            [*(action.name for action in policy.ACTIONS), "nonsense"],
            ["audit_log", "user", "nonsense"],
            ["success", "denied", "nonsense"],
        ],
    )
    client = browser(owner)
    for address in ("activity?per_page=200", "activity?per_page=200&result=denied"):
        page = client.get(f"/o/acme/{address}")
        assert page.status_code == 200
        assert b"mallory" in page.content
    found = re.search(r"/o/acme/activity/(?=0)\w{26}", page.content.decode())
    assert found is not None
    assert client.get(found[0]).status_code == 200
