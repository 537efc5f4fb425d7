"""Keys that only clients have: rotated by them, and what older ones encrypt brought after them.

A client answers with everything at once, so a rotation's body may be large; and when it does not
fit, with a 400 whose `errors` are plain strings, which is what clients show.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from dotenv_cloud.api import bodies, errors, resources
from dotenv_cloud.api.base import ApiView, data
from dotenv_cloud.api.schema import described
from keys import reencryption, rotation
from keys.client_keys import ClientKey
from keys.errors import RotationInProgressError
from keys.reencryption import Submitted
from keys.rotation import Encrypted
from organizations.models import Project

DEFAULT_LIMIT = 50


class ClientKeyRotation(ApiView):
    abilities: ClassVar = {"POST": "key:rotate"}
    limit_scopes: ClassVar = {"post": "rotate"}
    parser_classes = [bodies.LargeJsonBody]

    @described("Rotate a client's key", body=bodies.ClientRotationBody, answer="ClientRotation")
    def post(self, request: Request, organization: str, project: str) -> Response:
        self.also_require("secret:write")
        found = self.project()
        if not self.principal.reaches("secret:write", found.pk):
            raise errors.hidden("project")
        body, key = _read(request)
        made = rotation.rotate_client_key(
            found,
            [Encrypted(secret["id"], secret["content"]) for secret in body["secrets"]],
            key,
            key_proof=body.get("key_proof"),
            history_policy=body.get("history_policy"),
            author=self.principal.author,
        )
        message = f"The key was rotated; version {made.version} is active."
        return Response(
            {
                "success": True,
                "message": message,
                "data": {"count": len(body["secrets"]), "message": message},
            }
        )


class PendingVersions(ApiView):
    abilities: ClassVar = {"POST": "key:rotate"}

    @described("List versions under old keys", body=bodies.PendingBody, answer="PendingVersions")
    def post(self, request: Request, organization: str, project: str) -> Response:
        found = self.project()
        body = bodies.read(request, bodies.PendingBody)
        _refuse_meanwhile(found)
        pending = reencryption.pending(found, body.get("limit") or DEFAULT_LIMIT)
        listed = [
            {
                "id": version.number,
                "content": resources.content(version),
                "key_version": str(version.key_version),
            }
            for version in pending.versions
        ]
        return Response({"data": listed, "meta": {"remaining": pending.remaining}})


class Resubmission(ApiView):
    abilities: ClassVar = {"POST": "key:rotate"}
    parser_classes = [bodies.LargeJsonBody]

    @described("Store re-encrypted versions", body=bodies.ResubmissionBody, answer="Resubmitted")
    def post(self, request: Request, organization: str, project: str) -> Response:
        found = self.project()
        body = bodies.read(request, bodies.ResubmissionBody)
        done = reencryption.submit(
            found,
            [Submitted(version["id"], version["content"]) for version in body["versions"]],
            body.get("key_proof"),
        )
        return data({"updated": len(done.versions), "remaining": done.remaining})


def _read(request: Request) -> tuple[dict[str, Any], ClientKey]:
    try:
        body = bodies.read(request, bodies.ClientRotationBody)
        key = ClientKey.parse(
            body["key_check"], body["key_check_salt"], body["key_check_iterations"]
        )
    except (ValidationError, exceptions.ValidationError) as error:
        raise errors.in_plain_strings(error) from None
    return body, key


def _refuse_meanwhile(project: Project) -> None:
    if rotation.is_under_way(project):
        raise RotationInProgressError(f"The key of {project.slug} is being rotated.")
