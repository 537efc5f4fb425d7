"""Deleting projects, targets and environments, with the secrets in them."""

from __future__ import annotations

import uuid

from django.db import transaction

from keys.models import KeyVersion
from organizations import hierarchy
from organizations.grants import EVERYTHING, Grant
from organizations.models import Environment, Project, Target


@transaction.atomic
def delete_node(node: Project | Target | Environment, *, granter: Grant = EVERYTHING) -> None:
    """Delete a node and all below it; each child leaves an entry of its own. Raises NotHeldError.

    The project's key is locked first, as by every writer: see `keys.secrets`.
    """
    keys = KeyVersion.objects.filter(project=_project_of(node), is_active=True)
    list(keys.select_for_update(no_key=True).values_list("pk"))
    hierarchy.delete_node(node, granter=granter)


def _project_of(node: Project | Target | Environment) -> uuid.UUID:
    if isinstance(node, Environment):
        return node.target.project_id
    return node.project_id if isinstance(node, Target) else node.pk
