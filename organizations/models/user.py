"""A person, signed in by e-mail."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models

from organizations import emails
from organizations.emails import CanonicalEmailField
from organizations.labels import LabelField
from organizations.models.base import NextNumber, Timestamped


class UserManager(BaseUserManager["User"]):
    use_in_migrations = True

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(canonical_email=emails.canonical(username or ""))

    def with_email(self, address: str) -> User | None:
        """Whose address it is, however it is spelled."""
        return self.filter(canonical_email=emails.canonical(address)).first()

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a person with the hash of `password`, or none usable when it is None."""
        user = self.model(email=emails.valid(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(Timestamped, AbstractBaseUser, PermissionsMixin):
    """`is_staff` opens Django admin; it shows only organizations where one holds audit:read.

    `is_superuser` grants nothing inside an organization: membership alone does.
    """

    number = models.BigIntegerField(
        unique=True, editable=False, db_default=NextNumber("organizations_user_number")
    )
    email = models.EmailField("e-mail", max_length=254)
    canonical_email = CanonicalEmailField()
    name = LabelField(max_length=150, blank=True)
    is_staff = models.BooleanField("may use the admin", default=False)
    is_active = models.BooleanField("active", default=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["canonical_email"],
                name="organizations_user_email",
                violation_error_message="A user with this e-mail address already exists.",
            )
        ]

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name or self.email
