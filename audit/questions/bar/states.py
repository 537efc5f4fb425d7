"""Questions that no list of entries answers: of what is, of what ought to be, of what is not
recorded. They lead to the page that answers them, if there is one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from audit.questions.bar import vocabulary as v
from audit.questions.bar.question import Page
from audit.questions.bar.sentence import Sentence

_ROLE = "|".join(re.escape(word) for word in sorted(v.ALL_ROLES, key=len, reverse=True))
_WHO = "who|which (?:members?|users?|people|persons?)|members|users|people|everyone|everybody"

ACCESS = "Entries show what was done; the page Access shows who can do what, now and then."
MEMBERS = "Entries show changes of roles; the page of members shows who has which role now."
API_KEYS = "The page of API keys shows when each was last used, when it expires and was created."
KEYS = "Entries show rotations; the page of each project's key shows whether it was rotated."
INTEGRITY = "Entries cannot tell whether one is missing or was changed; the page Evidence can."
SESSIONS = "Who is signed in now is on no page; entries show signing in and out."
LISTS = "Entries show what was done; what there is now is on the page of"


@dataclass(frozen=True)
class State:
    pattern: re.Pattern[str]
    page: str
    why: str


def _state(page: str, why: str, *patterns: str) -> State:
    return State(re.compile("|".join(patterns)), page, why)


_CAN = r"\b(?:can|could|may|might|(?:is |are |was |were )?able to|allowed to|permitted to)"
_DO = (
    r"(?:read|see|access|view|decrypt|retrieve|write|edit|change|delete|rotate|manage|reach|export"
    r"|use|create|update|invite)\b"
)
_NEVER = r"\b(?:never|not|n't|no longer|yet to be)"
_ASSIGNED = r"(?:are|is|were|has|have|with)(?: the| an?)?(?: role)?"
_EXPIRES = r"(?:about to )?(?:expire[ds]?|expiring)"
_HAS = r"(?:do|does|did|has|have|had|is|are)\b"

STATES = (
    _state(
        "integrity",
        INTEGRITY,
        r"\btamper",
        r"\bintact\b",
        r"\bintegrity\b",
        r"\b(?:log|entries|trail) (?:complete|altered|modified|changed|manipulated|falsified)\b",
        r"\bverif(?:y|ied) the (?:audit )?(?:log|trail)\b",
        r"\b(?:can|could) (?:the |our )?(?:audit )?(?:log|logs|trail|entries) be\b",
        r"\b(?:can|could) (?:anyone|somebody|someone|anybody|an admin|admins|we|i) \w+"
        r" (?:the |our )?(?:audit )?(?:log|logs|trail|entries)\b",
    ),
    _state(
        "",
        SESSIONS,
        r"\b(?:active|open|current|live) sessions?\b",
        r"\bwho is (?:signed|logged) in\b",
        r"\bwho's (?:online|signed in|logged in)\b",
        r"\bcurrently (?:signed|logged) in\b",
    ),
    _state(
        "access",
        ACCESS,
        rf"{_CAN} (?:\S+ ){{0,2}}?{_DO}",
        r"\bwhat (?:can|could|may) (?:\S+ ){1,2}do\b",
        r"\b(?:with|has|have|had|having|without) (?:\S+ )?(?:access|permissions?|rights?)\b"
        r"(?! (?:denied|changes))",
        rf"\bwhat (?:permissions?|rights|access|abilities) {_HAS}",
    ),
    _state(
        "api_keys",
        API_KEYS,
        r"\b(?:keys?|tokens?) (?:are |is )?(?:still |currently )+(?:active|valid|enabled|in use)\b",
    ),
    _state(
        "members",
        MEMBERS,
        r"\b(?:pending|outstanding|unaccepted) (?:invitations?|invites?)\b",
        r"\b(?:not|never|yet to) (?:yet )?accept(?:ed)? (?:the|their|an?|our) invit(?:ation|e)\b",
        r"^what(?: is|'s) (?:\S+ ){0,3}roles?$",
        r"^what role\b",
        rf"\bwhat roles? {_HAS}",
        r"\bwhich roles? (?:do|does|did|has)\b",
        r"\bwho (?:has|have|had|holds|is|are|was the|owns|'s)(?: the| an?| our)?"
        rf" (?:{_ROLE})\b(?! by)",
        rf"\b(?<!by )(?:{_WHO}) {_ASSIGNED} (?:{_ROLE})\b",
        r"^(?:is|are|was|were) (?!.*\bever\b)(?:\S+ ){1,3}(?:still )?(?:an?|the)"
        rf" (?:{_ROLE})\b",
        rf"\b(?:list|show)(?: me)?(?: all)?(?: the| our)? (?:{_ROLE})s?$",
        r"\bwho owns\b",
        r"\bwho are the",
        r"\bstill (?:active|valid|a member|there|enabled|in the organi[sz]ation|employed)\b",
        r"\b(?:account|user|member)s? (?:still )?(?:active|inactive|dormant|disabled|enabled)\b",
        r"\b(?:users?|members?|accounts?|people) (?:without|with no)\b",
        r"\b(?:inactive|dormant|disabled|stale) (?:accounts?|users?|members?)\b",
    ),
    _state(
        "api_keys",
        API_KEYS,
        rf"\b(?:keys?|tokens?)\b.*{_NEVER} (?:yet |been |be )*used\b",
        r"\b(?:keys?|tokens?) (?:without|with no) (?:use|usage|activity)\b",
        r"\bunused (?:api )?(?:keys|tokens)\b",
        r"\b(?:keys|tokens) unused\b",
        r"\b(?:stale|expired|expiring|old) (?:api )?(?:keys?|tokens?)\b",
        rf"\b(?:keys?|tokens?) (?:are |is |that |which |will )*{_EXPIRES}\b",
        r"\b(?:api keys|keys|tokens) (?:were |was )?last used\b",
        r"\bwhen (?:do|does|will)\b.*\bexpire\b",
    ),
    _state(
        "keys",
        KEYS,
        rf"\bkeys?\b.*{_NEVER}\b.*\brotat",
        r"\bkeys?\b.*\b(?:without|needs?|due|overdue|older)\b.*\brotat",
        r"\bunrotated keys?\b",
        r"\bkeys? older than\b",
        r"\bold(?:est)? encryption keys?\b",
        r"\bnot rotated\b.*\bkeys?\b",
        r"\bhow old (?:is|are) (?:the |our )?\S* ?keys?\b",
        r"\b(?:current|active|latest) (?:encryption )?key(?: version)? (?:of|for)\b",
        r"\bkey version is (?:current|active|in use)\b",
    ),
    _state(
        "exports",
        "There is no report to generate; save a view, or export what answers it.",
        r"\b(?:soc ?2|iso ?27001|compliance) (?:evidence|report|package)\b",
        r"\bgenerate\b.*\b(?:report|evidence)\b",
    ),
)

_PAGE_OF = {
    "membership": "members",
    "user": "members",
    "api_key": "api_keys",
    "project": "projects",
    "target": "projects",
    "environment": "projects",
    "key_version": "keys",
    "invitation": "members",
    "secret": "projects",
}
_THERE_IS = re.compile(
    r"\b(?:are there|do we have|there are|exist|exists|is there|does \S+ have|do we use)\b"
    r"|^(?:please |can you )?(?:list|show|show me)(?: all)?(?: the| our)? (?:\w+ )?\w+s"
    r"(?: (?:in|of) \S+)?$"
)


def find(sentence: Sentence) -> Page | None:
    """The page that answers a question of state."""
    text = _text(sentence)
    for state in STATES:
        match = state.pattern.search(text)
        if match is not None and not _is_of_one_key(state, sentence):
            page = state.page
            if page == "keys" and re.search(r"\bapi keys?\b|\btokens?\b", text):
                page = "api_keys"
            return Page(page, state.why, _about(sentence), _at(sentence))
    return None


def find_listed(sentence: Sentence, *, is_narrowed: bool) -> Page | None:
    """Of what there is, once it is known that nothing else was asked."""
    if is_narrowed:
        return None
    types = [name for mark in sentence.included("type") for name in mark.value]
    types += ["membership"] * bool(sentence.included("person"))
    page = next((page for name in types if (page := _PAGE_OF.get(name))), None)
    if page is None or not _THERE_IS.search(_text(sentence)):
        return None
    return Page(page, f"{LISTS} {page.replace('_', ' ')}.", _about(sentence), _at(sentence))


def _text(sentence: Sentence) -> str:
    """The sentence without qualifiers, and with what is quoted as one word."""
    words = [token.word or ('"' if token.is_quoted else ":") for token in sentence.tokens]
    return " ".join(words).replace(" 's", "'s")


def _is_of_one_key(state: State, sentence: Sentence) -> bool:
    """When a key that is named was last used, its entries show."""
    is_of_use = any(sentence.word(place) == "used" for place in range(len(sentence)))
    return state.page == "api_keys" and is_of_use and bool(sentence.of("name"))


def _about(sentence: Sentence) -> str:
    return next((mark.value.value for mark in sentence.included("name")), "")


def _at(sentence: Sentence) -> str:
    """The day that was asked for, if any."""
    for mark in sentence.of("time"):
        period = sentence.resolve(*mark.value)
        moment = period and (period.since or period.until)
        if moment:
            return moment.astimezone(sentence.zone).date().isoformat()
    return ""
