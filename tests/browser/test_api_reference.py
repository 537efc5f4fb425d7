"""The API reference: works without another host, under the content security policy, for anybody."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Open


def test_it_shows_the_document_and_sends_a_request(transactional_db: None, window: Open) -> None:
    with window() as shown:
        page, hosts = shown.page, set[str]()
        page.on("request", lambda sent: hosts.add(sent.url.split("/")[2]))
        page.goto(shown.url + "/api/docs")
        operation = page.locator(
            ".opblock", has_text="/api/v1/organizations/{organization}/audit/counts"
        )
        operation.locator(".opblock-summary-control").click()
        expect(operation).to_contain_text("at_least")

        mine = page.locator(".opblock", has_text="/api/v1/user").first
        mine.locator(".opblock-summary-control").click()
        mine.get_by_role("button", name="Try it out").click()
        mine.get_by_role("button", name="Execute").click()
        expect(mine.locator(".live-responses-table")).to_contain_text("401")
        assert hosts == {shown.url.removeprefix("http://")}
        assert [said for said in shown.complaints if "401" not in said] == []


def test_without_a_script_it_leads_to_the_document(transactional_db: None, window: Open) -> None:
    with window(java_script_enabled=False) as shown:
        shown.page.goto(shown.url + "/api/docs")
        link = shown.page.get_by_role("link", name="The OpenAPI document")
        expect(link).to_have_attribute("href", "/api/v1/openapi.json")
