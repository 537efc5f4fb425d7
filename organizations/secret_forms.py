"""What a secret looks like: our own tokens, and the well-known forms of others'.

One pattern that means the same to Python and to PostgreSQL, which redacts what it records with it:
no classes that differ with the locale, no alternatives of which one begins another, nothing
reluctant. A test compares the two on random texts.
"""

from __future__ import annotations

import re

OURS = r"dotenv_[0-9A-Za-z]{26}_[A-Za-z0-9]+"
"""The form of our own tokens."""

_NOT_IN_URL = r" \t\n\r/?#\"<>\\"
_WELL_KNOWN = (
    # AWS: ids of access keys, and the keys themselves where they are called so.
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",
    r"((?:aws_secret_access_key|AWS_SECRET_ACCESS_KEY)[\"' ]*[:=][\"' ]*)[A-Za-z0-9/+]{40}",
    # GitHub.
    r"gh[oprsu]_[A-Za-z0-9]{30}[A-Za-z0-9]*",
    r"github_pat_[A-Za-z0-9_]{22}[A-Za-z0-9_]*",
    # Slack: tokens, and addresses to which anybody may post.
    r"xox[a-z]-[A-Za-z0-9-]{10}[A-Za-z0-9-]*",
    r"xapp-[A-Za-z0-9-]{10}[A-Za-z0-9-]*",
    r"(hooks\.slack\.com/)(?:services|workflows|triggers)/[A-Za-z0-9/+_-]{10}[A-Za-z0-9/+_-]*",
    # Stripe.
    r"[rs]k_(?:live|test)_[A-Za-z0-9]{10}[A-Za-z0-9]*",
    r"whsec_[A-Za-z0-9+/]{16}[A-Za-z0-9+/=]*",
    # Private keys (RFC 7468, OpenPGP), to their end or to that of the text.
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-{1,4}[^-])*"
    r"(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)?",
    # The password in an address (RFC 3986, section 3.2.1).
    rf"(://[^{_NOT_IN_URL}:@]*:)[^{_NOT_IN_URL}]+(?=@)",
)
FORMS = "|".join((OURS, *_WELL_KNOWN))
"""What is a secret by its form alone: nobody calls a thing so."""

CREDENTIALS = (
    r"((?:[Bb]earer|BEARER|[Bb]asic|BASIC)[ \t]+)"
    r"(?=[A-Za-z._~+/-]*(?:[0-9=]|[a-z][A-Z]))[A-Za-z0-9._~+/=-]{8}[A-Za-z0-9._~+/=-]*"
)
"""What an Authorization header says, unless it looks like words."""

PARTS = (
    *(OURS[:7], "AKIA", "ASIA", "ABIA", "ACCA", "ecret_access_key", "ECRET_ACCESS_KEY"),
    *("gho_", "ghp_", "ghr_", "ghs_", "ghu_", "github_pat_", "xox", "xapp-", "hooks.slack.com/"),
    *("k_live_", "k_test_", "whsec_", "PRIVATE KEY", "://", "earer", "EARER", "asic", "ASIC"),
)
"""A text without any of these matches neither pattern, which is quick to find out."""

_COARSE = ("_", *(part for part in PARTS if "_" not in part))
"""As PARTS, but fewer and asked more often in vain."""

_FORMS = re.compile(FORMS)


def may_hold(text: str) -> bool:
    return any(part in text for part in PARTS)


def like_any(parts: tuple[str, ...] = PARTS) -> str:
    """PARTS as SQL, to be compared with a text by LIKE ANY."""
    listed = ", ".join("'%{}%'".format(part.replace("_", r"\_")) for part in parts)
    return f"LIKE ANY (ARRAY[{listed}])"


def like_any_roughly() -> str:
    """The same at half the price, for texts that seldom have an underscore."""
    return like_any(_COARSE)


def is_in(text: str) -> bool:
    """Whether there is something in `text` that is a secret by its form."""
    return may_hold(text) and _FORMS.search(text) is not None
