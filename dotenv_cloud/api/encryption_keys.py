"""A project's encryption key: retrieved, listed, rotated.

There is one key a project, so those who may retrieve it for one environment have it for all.
Rotating touches all of the project, so it needs an ability that is not narrowed to less.
"""

from __future__ import annotations

import json
from typing import ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from dotenv_cloud.api import bodies, errors, resources
from dotenv_cloud.api.base import ApiView, data
from dotenv_cloud.api.schema import described
from keys import reencryption, retrieval, rotation
from keys.models import KeyVersion
from organizations.models import Project


def described_key(project: Project) -> Response:
    """Reveal the active key in the one shape that clients read."""
    version, key = retrieval.retrieve(project)
    descriptor = {"key": resources.key_descriptor(version, key)}
    attributes = {
        "format": "json",
        "encrypted": False,
        # A document inside a string: that is how clients read it.
        "content": json.dumps(descriptor, separators=(",", ":")),
    }
    return data({"type": "encryption_keys", "id": version.ulid, "attributes": attributes})


class EncryptionKey(ApiView):
    abilities: ClassVar = {"GET": "key:retrieve"}

    @described("Retrieve the active key", answer="EncryptionKey")
    def get(self, request: Request, organization: str, project: str) -> Response:
        return described_key(self.project(in_part=True))


class KeyHistory(ApiView):
    abilities: ClassVar = {"GET": "key:retrieve"}

    @described("List the versions of the key", answer="KeyHistory")
    def get(self, request: Request, organization: str, project: str) -> Response:
        found = self.project(in_part=True)
        writes = self.principal.may_inside("secret:write", found.pk)
        listed = [
            # The active proof is what a write needs: it is for who may write.
            resources.key_version(version, shows_check=writes or not version.is_active)
            for version in KeyVersion.objects.filter(project=found)
        ]
        if not listed:
            raise errors.ApiError(422, "no_active_encryption_key", "The project has no usable key.")
        return Response(
            {
                "data": listed,
                "meta": {"re_encryption": resources.progress(reencryption.progress(found))},
            }
        )


class KeyRotation(ApiView):
    abilities: ClassVar = {"POST": "key:rotate"}
    limit_scopes: ClassVar = {"post": "rotate"}

    @described("Rotate the key", body=bodies.RotationBody, answer="RotatedKey")
    def post(self, request: Request, organization: str, project: str) -> Response:
        body = bodies.read(request, bodies.RotationBody)
        found = self.project()
        made = rotation.rotate(
            found,
            history_policy=body.get("history_policy"),
            author=self.principal.author,
        )
        # The answer has what GET has, so it needs the same ability, and is recorded as retrieved.
        may_have_it = self.principal.may_inside("key:retrieve", found.pk)
        key = retrieval.reveal(made) if may_have_it else None
        return data(
            {"key": resources.rotated_key(made, key)},
            message=f"The key was rotated; version {made.version} is active.",
        )
