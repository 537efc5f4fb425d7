"""An installed Chromium on a running server, and an organization worth looking at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from audit.questions import saved_views
from keys import rotation, secrets
from keys.authors import SYSTEM
from keys.levels import Level
from organizations import hierarchy, members
from organizations.grants import EVERYTHING
from organizations.models import Organization, User
from tests.browser.chromium import FLAGS, find
from tests.factories import (
    ApiKeyFactory,
    EnvironmentFactory,
    MembershipFactory,
    OrganizationFactory,
    ProjectFactory,
    TargetFactory,
    UserFactory,
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)
            item.add_marker(
                pytest.mark.django_db(transaction=True, databases=["default", "sealer"])
            )


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Ends with its module: in a thread with Playwright's event loop no other one can be run."""
    path = find()
    if path is None:
        pytest.skip(
            "No Chromium is installed (Debian: apt install chromium), and CHROMIUM names none."
        )
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread, which Django takes for asynchronous code.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Window:
    """A page of the browser, on this server; what the browser complained of is in `complaints`."""

    page: Page
    url: str
    complaints: list[str]
    has_script: bool

    def open(self, path: str) -> None:
        self.page.goto(self.url + path)
        if self.has_script:  # chart and facets come after the list, in place of the link to them
            self.page.locator("#chart [hx-get]").wait_for(state="detached")

    @property
    def path(self) -> str:
        return self.page.url.removeprefix(self.url)


Open = Callable[..., AbstractContextManager[Window]]


@pytest.fixture
def window(chromium: Browser, live_server: Any, client: Any) -> Open:
    """Opens a window, of somebody signed in or of nobody; keywords are those of a context."""

    @contextmanager
    def open_window(user: User | None = None, **options: Any) -> Iterator[Window]:
        context: BrowserContext = chromium.new_context(
            **{
                "viewport": {"width": 1280, "height": 900},
                "timezone_id": "Europe/Berlin",
                "reduced_motion": "reduce",  # or colours are still on their way when looked at
            }
            | options
        )
        context.set_default_timeout(10_000)
        if user is not None:
            client.force_login(user)
            session = client.cookies["sessionid"].value
            context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
        page = context.new_page()
        complaints: list[str] = []

        def note(said: ConsoleMessage) -> None:
            if said.type in ("error", "warning"):
                complaints.append(said.text)

        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        try:
            yield Window(
                page, live_server.url, complaints, options.get("java_script_enabled", True)
            )
        finally:
            context.close()

    return open_window


@dataclass
class Scene:
    """Acme, with some history: a production environment made, changed and deleted."""

    organization: Organization
    owner: User
    auditor: User
    paths: dict[str, str]


@pytest.fixture
def scene(transactional_db: None) -> Scene:
    owner = UserFactory.create(email="olivia@acme.example", name="Olivia Owner")
    acme = OrganizationFactory.create(name="Acme", owner=owner)
    auditor = MembershipFactory.create(organization=acme, auditor=True).user
    project = ProjectFactory.create(organization=acme, name="Shop")
    target = TargetFactory.create(project=project, name="Backend")
    staging = EnvironmentFactory.create(target=target, name="Staging")
    production = EnvironmentFactory.create(target=target, name="Production", status="staging")
    hierarchy.update_node(production, {"status": "production"})
    for level in (Level(project), Level(project, target), Level(project, target, staging)):
        for number in (1, 2):
            secrets.store(level, f"TOKEN=value {number}", author=SYSTEM)
    rotation.rotate(project)
    hierarchy.delete_node(production)
    issued = ApiKeyFactory.create(organization=acme, name="ci")
    view = saved_views.save(acme, owner, "Deletions", "action=delete", is_shared=True)
    invited = members.invite(
        acme, "new@acme.example", "member", invited_by=owner, granter=EVERYTHING
    )
    return Scene(
        acme,
        owner,
        auditor,
        {
            "api_key": issued.api_key.ulid,
            "view": view.ulid,
            "project": project.ulid,
            "owner": owner.ulid,
            "member": acme.memberships.get(user=auditor).ulid,
            "invitation": invited.invitation.ulid,
        },
    )
