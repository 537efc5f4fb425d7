"""The routes of the API. Fixed words come before what they could be mistaken for."""

from __future__ import annotations

from typing import Any

from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.views import SpectacularAPIView

from dotenv_cloud.api import (
    api_keys,
    audit,
    client_keys,
    encryption_keys,
    errors,
    evidence,
    nodes,
    organizations,
    schema,
    secret_versions,
    secrets,
    witnessing,
)
from dotenv_cloud.api.base import AlwaysJson


def _legacy(route: str, view: Any) -> Any:
    """A long path of the hierarchy: read-only, on its way out, in no schema."""
    methods = ["get", "head"]
    return path(
        f"organizations/<str:organization>/{route}",
        view.as_view(legacy=True, http_method_names=methods, schema=None),
    )


@csrf_exempt
def telemetry(request: HttpRequest) -> JsonResponse:
    """Clients may send it; it is dropped unread."""
    return JsonResponse({"success": True}, headers=errors.HEADERS)


@csrf_exempt
def oauth(request: HttpRequest, **kwargs: str) -> JsonResponse:
    """`error_description` is what RFC 6749 (5.2) has clients read, `message` what these show."""
    reason = (
        "There is no browser sign-in for programs here. Create an API key or an access token in the"
        " web pages, and sign in with it: dotenv login --api-key"
    )
    return JsonResponse(
        {"error": "unsupported_grant_type", "error_description": reason, "message": reason},
        status=400,
        headers=errors.HEADERS,
    )


class Description(SpectacularAPIView):  # type: ignore[misc]
    """The OpenAPI document: public, for it tells nothing of anybody."""

    authentication_classes = []  # noqa: RUF012
    renderer_classes = [OpenApiJsonRenderer]  # noqa: RUF012
    content_negotiation_class = AlwaysJson
    http_method_names = ["get", "head"]  # noqa: RUF012

    def finalize_response(self, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(*args, **kwargs)
        for name, value in errors.HEADERS.items():
            response[name] = value
        return response


@require_safe
def entry_schema(request: HttpRequest) -> JsonResponse:
    """What an entry is, for programs that check or generate: the same for everybody."""
    return JsonResponse(schema.entry_schema(request.build_absolute_uri()))


@csp_update({"img-src": "data:"})  # type: ignore[untyped-decorator]
@require_safe
def reference(request: HttpRequest) -> HttpResponse:
    """The same document, to read and to try. Its icons are images within its style sheet."""
    return render(request, "api_reference.html")


_log = "organizations/<str:organization>/audit"
_node = "<str:organization>/<str:project>"

urlpatterns: list[URLPattern | URLResolver] = [
    path("v1/openapi.json", Description.as_view(), name="schema"),
    path(f"v1/schemas/entry-{schema.ENTRY_VERSION}.json", entry_schema, name="entry_schema"),
    path("docs", reference, name="api_reference"),
    path("v1/cli/telemetry", telemetry),
    re_path(r"^oauth/(?:token|revoke)$", oauth),
]

_v1: list[URLPattern] = [
    path("user", organizations.CurrentPrincipal.as_view()),
    path("organization", organizations.CurrentOrganization.as_view()),
    path("organizations", organizations.Organizations.as_view()),
    path("organizations/<str:organization>", organizations.OneOrganization.as_view()),
    path("organizations/<str:organization>/members", organizations.Members.as_view()),
    path(
        "organizations/<str:organization>/members/<str:member>", organizations.OneMember.as_view()
    ),
    path("organizations/<str:organization>/api-keys", api_keys.ApiKeys.as_view()),
    path("organizations/<str:organization>/api-keys/<str:api_key>", api_keys.OneApiKey.as_view()),
    path(
        "organizations/<str:organization>/api-keys/<str:api_key>/rotate",
        api_keys.ApiKeyRotation.as_view(),
    ),
    path(f"{_log}/entries", audit.Entries.as_view()),
    path(f"{_log}/entries/export", audit.Export.as_view()),
    path(f"{_log}/entries/<str:entry>", audit.OneEntry.as_view()),
    path(f"{_log}/entries/<str:entry>/proof", evidence.Proof.as_view()),
    path(f"{_log}/checkpoint", evidence.CurrentCheckpoint.as_view()),
    path(f"{_log}/tile/<path:tile>", evidence.OneTile.as_view()),
    path(f"{_log}/consistency", evidence.Consistency.as_view()),
    path(f"{_log}/keys", evidence.Keys.as_view()),
    path(f"{_log}/seen", witnessing.SeenCheckpoint.as_view()),
    path(f"{_log}/cosignatures", witnessing.Cosignatures.as_view()),
    path(f"{_log}/witnesses", witnessing.Witnesses.as_view()),
    path(f"{_log}/witnesses/<str:witness>", witnessing.OneWitness.as_view()),
    path(f"{_log}/heads", witnessing.Rounds.as_view()),
    path(f"{_log}/heads/checkpoint", witnessing.HeadsCheckpoint.as_view()),
    path(f"{_log}/heads/consistency", witnessing.HeadsConsistency.as_view()),
    path(f"{_log}/heads/tile/<path:tile>", witnessing.HeadsTile.as_view()),
    path(f"{_log}/evidence", evidence.Evidence.as_view()),
    path(f"{_log}/histogram", audit.Histogram.as_view()),
    path(f"{_log}/facets", audit.Facets.as_view()),
    path(f"{_log}/counts", audit.Counts.as_view()),
    path(f"{_log}/catalogue", audit.Catalogue.as_view()),
    _legacy("projects", nodes.Projects),
    _legacy("projects/<str:project>", nodes.OneProject),
    _legacy("projects/<str:project>/targets", nodes.Targets),
    _legacy("projects/<str:project>/targets/<str:target>", nodes.OneTarget),
    _legacy("projects/<str:project>/targets/<str:target>/environments", nodes.Environments),
    _legacy(
        "projects/<str:project>/targets/<str:target>/environments/<str:environment>",
        nodes.OneEnvironment,
    ),
    _legacy("projects/<str:project>/secrets", secrets.Secrets),
    _legacy("projects/<str:project>/targets/<str:target>/secrets", secrets.Secrets),
    _legacy(
        "projects/<str:project>/targets/<str:target>/environments/<str:environment>/secrets",
        secrets.Secrets,
    ),
    path(
        "organizations/<str:organization>/secrets/retrieve",
        secrets.Retrieval.as_view(legacy=True, schema=None),
    ),
    # Nothing below may begin with the words above.
    re_path(r"^(?:organizations|organization|user|plans|cli)(?:/.*)?$", errors.unknown_path),
    path("<str:organization>/projects", nodes.Projects.as_view()),
    path("<str:organization>/secrets/retrieve", secrets.Retrieval.as_view()),
    path("<str:organization>/secrets/store", secrets.Storing.as_view()),
    path("<str:organization>/secrets/delete", secrets.Deleting.as_view()),
    path("<str:organization>/secrets/versions", secret_versions.Versions.as_view()),
    path("<str:organization>/secrets/versions/purge", secret_versions.Purging.as_view()),
    path("<str:organization>/secrets/versions/<int:version>", secret_versions.OneVersion.as_view()),
    path(
        "<str:organization>/secrets/versions/<int:version>/restore",
        secret_versions.VersionRestoration.as_view(),
    ),
    path(_node, nodes.OneProject.as_view()),
    path(f"{_node}/secrets", secrets.SecretsOfProject.as_view()),
    path(f"{_node}/targets", nodes.Targets.as_view()),
    path(f"{_node}/encryption-key", encryption_keys.EncryptionKey.as_view()),
    path(f"{_node}/encryption-key/history", encryption_keys.KeyHistory.as_view()),
    path(f"{_node}/encryption-key/rotate", encryption_keys.KeyRotation.as_view()),
    path(f"{_node}/secrets/rotate-client-keys", client_keys.ClientKeyRotation.as_view()),
    path(f"{_node}/secrets/re-encrypt-history", client_keys.Resubmission.as_view()),
    path(f"{_node}/secrets/re-encrypt-history/pending", client_keys.PendingVersions.as_view()),
    path(f"{_node}/<str:target>", nodes.OneTarget.as_view()),
    path(f"{_node}/<str:target>/secrets", secrets.SecretsOfTarget.as_view()),
    path(f"{_node}/<str:target>/environments", nodes.Environments.as_view()),
    path(f"{_node}/<str:target>/<str:environment>", nodes.OneEnvironment.as_view()),
    path(f"{_node}/<str:target>/<str:environment>/secrets", secrets.SecretsOfEnvironment.as_view()),
]

urlpatterns += [
    path("v1/", include(_v1)),
    re_path(r"^", errors.unknown_path),
]
