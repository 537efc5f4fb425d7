"""What is protected, and with what."""

from __future__ import annotations

from keys.models.access_token import AccessToken
from keys.models.api_key import ApiKey
from keys.models.former_token import FormerToken
from keys.models.key_version import KeyVersion
from keys.models.secret import Secret
from keys.models.secret_version import SecretVersion

__all__ = ["AccessToken", "ApiKey", "FormerToken", "KeyVersion", "Secret", "SecretVersion"]
