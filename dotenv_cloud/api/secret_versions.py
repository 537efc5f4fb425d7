"""The versions of secrets: what levels held before."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from dotenv_cloud.api import bodies, errors, paging, resources
from dotenv_cloud.api.base import ApiView, data, no_content
from dotenv_cloud.api.schema import described
from keys import secret_versions
from keys.models import SecretVersion

LARGEST_NUMBER = 2**63 - 1


class Versions(ApiView):
    abilities: ClassVar = {"POST": "secret:history"}

    @described("List a level's versions", body=bodies.VersionsBody, answer="VersionList")
    def post(self, request: Request, organization: str) -> Response:
        body = bodies.read(request, bodies.VersionsBody)
        level = self.level(body["project"], body.get("target"), body.get("environment"))
        return paging.page_of(
            request,
            secret_versions.of_level(level),
            lambda version: resources.secret_version(
                version, secret_versions.lock_reason(version, level.project)
            ),
            number=body.get("page") or 1,
            per_page=body.get("per_page") or paging.DEFAULT_PAGE,
        )


class VersionView(ApiView):
    def version(self) -> SecretVersion:
        """The version of the path, unless it lies where the ability does not reach."""
        found = secret_versions.find(self.organization, min(self.kwargs["version"], LARGEST_NUMBER))
        if found is None:
            raise errors.not_found("version")
        if not self.principal.reaches(self.ability, *found.level.ids):
            raise errors.hidden("version")
        return found


class OneVersion(VersionView):
    abilities: ClassVar = {"GET": "secret:history", "DELETE": "secret:purge"}

    @described("Show a version", answer="Version")
    def get(self, request: Request, organization: str, version: int) -> Response:
        found = self.version()
        principal = self.principal
        retrieves = principal.may_inside("key:retrieve", *found.level.ids)
        shown = secret_versions.show(found) if retrieves else secret_versions.outline(found)
        writes = retrieves and principal.may_inside("secret:write", found.project_id)
        return data(
            {
                **resources.secret_version(found, None),
                **resources.place(found.level),
                "content": resources.content(shown.version) if retrieves else "",
                "key": resources.key_version(
                    shown.key, shows_check=retrieves and (writes or not shown.key.is_active)
                ),
            }
        )

    @described("Delete a version", body=bodies.ForceBody, status=204)
    def delete(self, request: Request, organization: str, version: int) -> Response:
        body = bodies.read(request, bodies.ForceBody)
        force = bool(body.get("force")) or bodies.flag("force", request.query_params.get("force"))
        secret_versions.delete(self.version(), force=force)
        return no_content()


class VersionRestoration(VersionView):
    abilities: ClassVar = {"POST": "secret:restore"}

    @described("Restore a version", body=bodies.RestoreBody, answer="Restored")
    def post(self, request: Request, organization: str, version: int) -> Response:
        body = bodies.read(request, bodies.RestoreBody)
        found = self.version()
        secret = secret_versions.restore(
            found,
            author=self.principal.author,
            content=body.get("content"),
            key_proof=body.get("key_proof"),
        )
        return data(
            {
                "type": "secrets",
                "secret_id": secret.number,
                "restored_from": str(found.number),
                **resources.place(found.level),
            },
            message=f"Version {found.number} was restored.",
        )


class Purging(ApiView):
    abilities: ClassVar = {"POST": "secret:purge"}

    @described("Permanently delete versions", body=bodies.PurgeBody, answer="Purged")
    def post(self, request: Request, organization: str) -> Response:
        body = bodies.read(request, bodies.PurgeBody)
        of_project = body.get("scope") == "project"
        place: dict[str, Any] = (
            {} if of_project else {name: body.get(name) for name in ("target", "environment")}
        )
        level = self.level(body["project"], **place)
        bodies.require_confirmed(body, "versions are permanently deleted")
        count = secret_versions.purge(level, whole_project=of_project)
        word = "version" if count == 1 else "versions"
        return data({"purged_count": count}, message=f"{count} {word} purged.")
