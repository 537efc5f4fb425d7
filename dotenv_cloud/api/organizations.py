"""Organizations, members, and who the caller is."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from dotenv_cloud.api import bodies, errors, paging, resources
from dotenv_cloud.api.base import ApiView, data, no_content
from dotenv_cloud.api.schema import described
from keys import leaving
from keys.leaving import KeysOfLeaver
from organizations import creation, members, permissions, ulid
from organizations.models import Membership, Organization, User
from organizations.roles import Role


class Organizations(ApiView):
    abilities: ClassVar = {"GET": None, "POST": "organization:create"}

    @described("List the organizations the caller sees", answer="OrganizationList")
    def get(self, request: Request) -> Response:
        if self.principal.user is None:
            mine = Organization.objects.filter(pk=self.organization.pk)
        else:
            mine = permissions.organizations_of(self.principal.user)
        return paging.collection(request, mine, resources.organization)

    @described(
        "Create an organization", body=bodies.OrganizationBody, answer="Organization", status=201
    )
    def post(self, request: Request) -> Response:
        body = bodies.read(request, bodies.OrganizationBody)
        owner = self.principal.person
        if owner is None:
            raise errors.invalid(
                {
                    "non_field_errors": [
                        "The user who created this API key no longer exists, so the organization"
                        " would have no owner. Create it in the browser."
                    ]
                }
            )
        made = creation.create_organization(body["name"], owner=owner, slug=body.get("slug"))
        return data(resources.organization(made), 201, message="Organization created.")


class OneOrganization(ApiView):
    abilities: ClassVar = {
        "GET": "organization:read",
        "PATCH": "organization:update",
        "PUT": "organization:update",
        "DELETE": "organization:delete",
    }

    @described("Show an organization", answer="Organization")
    def get(self, request: Request, organization: str) -> Response:
        return data(resources.organization(self.organization))

    @described("Change an organization", body=bodies.OrganizationChange, answer="Organization")
    def patch(self, request: Request, organization: str) -> Response:
        body = bodies.read(request, bodies.OrganizationChange, partial=True)
        changed = creation.update_organization(
            self.organization, granter=self.principal.grant, **body
        )
        return data(resources.organization(changed))

    @described("Change an organization", body=bodies.OrganizationChange, answer="Organization")
    def put(self, request: Request, organization: str) -> Any:
        return self.patch(request, organization)

    @described("Delete an organization and everything it owns", status=204)
    def delete(self, request: Request, organization: str) -> Response:
        creation.delete_organization(self.organization, granter=self.principal.grant)
        return no_content()


class CurrentOrganization(ApiView):
    abilities: ClassVar = {"GET": None}

    @described("Show the token's organization", answer="Organization")
    def get(self, request: Request) -> Response:
        if self.principal.organization is None:
            raise errors.not_found("organization: an access token is not bound to one")
        return data(resources.organization(self.organization))


class CurrentPrincipal(ApiView):
    abilities: ClassVar = {"GET": None}

    @described("Show who the caller is", answer="Principal")
    def get(self, request: Request) -> Response:
        caller = self.principal.caller
        if isinstance(caller, User):
            memberships = Membership.objects.filter(user=caller).select_related("organization")
            mine = [(m.organization, m.role) for m in memberships.order_by("organization__name")]
            return Response(resources.principal(resources.person(caller), mine))
        who = resources.calling_key(caller)
        return Response(resources.principal(who, [(self.organization, Role.API_USER)]))


def _members(organization: Organization) -> QuerySet[Membership]:
    here = Membership.objects.filter(organization=organization).select_related("user")
    return permissions.with_groups(here, organization)


class Members(ApiView):
    abilities: ClassVar = {"GET": "member:read", "POST": "member:create"}

    @described("List the members", answer="MemberList")
    def get(self, request: Request, organization: str) -> Response:
        return paging.collection(request, _members(self.organization), resources.member)

    @described("Invite someone by e-mail", body=bodies.MemberBody, answer="Invitation", status=201)
    def post(self, request: Request, organization: str) -> Response:
        body = bodies.read(request, bodies.MemberBody)
        invited = members.invite(
            self.organization,
            body["email"],
            body["role"],
            invited_by=self.principal.user,
            granter=self.principal.grant,
        )
        members.send_invitation(invited)
        return data(resources.invitation(invited.invitation), 201, message="Invitation sent.")


class OneMember(ApiView):
    abilities: ClassVar = {
        "GET": "member:read",
        "PATCH": "member:update",
        "DELETE": "member:delete",
    }

    @described("Show a member", answer="Member")
    def get(self, request: Request, organization: str, member: str) -> Response:
        return data(resources.member(self._membership(member)))

    @described("Change the role of a member", body=bodies.MemberChange, answer="Member")
    def patch(self, request: Request, organization: str, member: str) -> Response:
        body = bodies.read(request, bodies.MemberChange)
        members.change_role(self._membership(member), body["role"], granter=self.principal.grant)
        return data(resources.member(self._membership(member)))

    @described("Remove a member", body=bodies.LeavingBody, status=204)
    def delete(self, request: Request, organization: str, member: str) -> Response:
        body = bodies.read(request, bodies.LeavingBody)
        leaving.remove(
            self._membership(member),
            KeysOfLeaver(body.get("api_keys") or KeysOfLeaver.HAND_OVER),
            granter=self.principal.grant,
            heir=self.principal.person,
        )
        return no_content()

    def _membership(self, reference: str) -> Membership:
        key = ulid.parse_or_none(reference)
        found = _members(self.organization).filter(pk=key).first() if key else None
        if found is None:
            raise errors.not_found("member")
        return found
