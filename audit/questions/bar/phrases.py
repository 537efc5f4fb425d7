"""The forms in which a question may be asked in words. docs/review.md documents them.

A form is matched against what is left of a question once its qualifiers, times, `by` somebody,
`from` an address and `via` an interface were taken out, and articles dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from audit import policy
from audit.questions.bar.vocabulary import DO, DONE, FILLERS, NOUNS, TYPES, UNANSWERABLE

Params = Mapping[str, Sequence[str]]

ARTICLES = frozenset({"the", "a", "an", "all", "any", "our", "please"})
_PLACED = "of|in|on|for|from|under|below|within|at|to|about|with"
_NAMED = r"\x01\d+\x01"
"""Stands for a name in quotes, which is no word of the language whatever it says."""


def _any_of(words: Iterable[str]) -> str:
    """The longest first: "api keys" before "api key"."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_PEOPLE = "anybody|anyone|somebody|someone|everybody|people"
_RESERVED = _any_of(
    {
        *TYPES,
        *DONE,
        *NOUNS,
        *UNANSWERABLE,
        *FILLERS,
        *_PEOPLE.split("|"),
        "by",
        "and",
        "'s",
        "happened",
    }
)
_BEGINS = re.compile(rf"(?<!\S)(?=(?:{_RESERVED}|{_PLACED})(?:\s|$))\S+", re.IGNORECASE)
"""A word that with those after it, if need be, is one of the language."""
_MARK = "\x02"
"""Put after each of them: if every name listed what it must not be, compiling all forms would
take half a second, which the first reader would wait for."""
_NAME = rf"(?:{_NAMED}|[^\s\x01{_MARK}]+(?=\s|$))"
_NAMES = rf"{_NAME}(?: (?:or|and) {_NAME})*"
_ANYTHING = f"anything|something|everything|things|{_PEOPLE}"
_KIND = rf"(?:{_any_of(TYPES)})"
_CONTAINER = rf"(?:(?:{_PLACED}) (?:{_KIND} )?(?P<in{{n}}>{_NAMES})(?: {_KIND})?)"

_SLOTS = {
    "who": rf"(?:who|(?:which|what) (?:person|people|{_KIND})|anybody|anyone|somebody|someone)",
    "was": "(?:was|were|is|are|has|have|had|got)(?: been)?",
    "done": rf"(?P<done>{_any_of(DONE)})",
    "do": rf"(?P<do>{_any_of(DO)})",
    "noun": rf"(?P<noun>{_any_of(NOUNS)})",
    "types": rf"(?P<types>{_any_of(TYPES)})",
    "person": rf"(?:(?:api key|access token|user|member|key) )?(?P<person>{_NAMES}|i|me)"
    r"(?: (?:api key|access token|key))?",
    "owner": rf"(?:(?:user|member) )?(?P<owner>{_NAMES})",
    "owner2": rf"(?:(?:user|member) )?(?P<owner2>{_NAMES})",
    "path": rf"(?:{_KIND} )?(?P<path>{_NAMES})(?: {_KIND})?",
    "path2": rf"(?P<path2>{_NAMES})",
    "thing": "(?:"
    + "|".join(
        [
            # the secrets of my-app; environment production of my-app; projects
            rf"(?P<type0>{_any_of(TYPES)})(?: (?:called |named )?(?P<name0>{_NAMES}))?"
            rf"(?: {_CONTAINER.format(n=0)})?",
            # my-app's key; production environment of my-app; my-app/backend
            rf"(?P<name1>{_NAMES})(?: 's)?(?: (?P<type1>{_any_of(TYPES)}))?"
            rf"(?: {_CONTAINER.format(n=1)})?",
            # anything in my-app
            rf"(?:(?:{_ANYTHING}) )?{_CONTAINER.format(n=2)}",
            _ANYTHING,
        ]
    )
    + ")",
}


@dataclass(frozen=True)
class Form:
    """example: as shown to people; pattern: a regular expression with slots; adds: what the
    words of the pattern themselves mean; is_telling: shown first, of all that can be asked."""

    example: str
    pattern: str
    adds: Params = field(default_factory=dict)
    is_telling: bool = False


_ROLE = {"action": ["update"], "type": ["membership"], "field": ["role"]}
_RIGHTS = {"action": ["grant", "revoke"], "type": ["user"]}
_PASSWORD = {"action": ["change_password", "reset_password"], "type": ["user"]}

FORMS = (
    Form(
        "who changed jane's role?",
        r"(?:{who}|when was) (?:last )?(?:changed )?{owner} 's roles?(?: changed)?",
        _ROLE,
    ),
    Form(
        "who changed the role of jane?",
        r"(?:{who} (?:last )?changed|when was) roles? of {owner}(?: (?:last )?changed)?",
        _ROLE,
    ),
    Form(
        "who changed jane's permissions?",
        r"(?:{who} changed )?(?:{owner} 's permissions|permissions of {owner2})",
        _RIGHTS,
    ),
    Form(
        "who changed jane's password?",
        r"(?:{who} (?:changed|reset) )?(?:{owner} 's password|password of {owner2})",
        _PASSWORD,
    ),
    Form(
        "who granted permissions to jane?",
        r"{who} (?:{was} )?(?P<done>granted|revoked) (?:permissions?|rights)"
        r"(?: (?:of|to|from|for) {owner})?",
        {"type": ["user"]},
    ),
    Form("who removed bob?", r"{who} (?:last )?removed {owner}", {"action": ["delete", "leave"]}),
    Form("who added bob?", r"{who} (?:last )?added {owner}", {"action": ["invite", "join"]}),
    Form("who used the API key ci?", r"(?:{who}|what) (?:last )?used {person}"),
    Form("where was ci used from?", r"(?:when|where|how) was {person}(?: last)? used(?: from)?"),
    Form(
        "who revoked the API key ci?",
        r"{who} revoked api key {path}",
        {"action": ["delete"], "type": ["api_key"]},
    ),
    Form(
        "who failed to sign in?",
        r"{who} (?:tried|failed) to {do}(?: in vain)?(?: {thing})?",
        {"result": ["failed", "denied"]},
    ),
    Form(
        "who deleted the production environment?",
        r"{who} (?:last )?{done}(?: {thing})?",
        is_telling=True,
    ),
    Form(
        "what did jane do?",
        r"(?:what (?:all )?)?(?:did|has|have|had) {person} (?:do|done|been doing)(?: {thing})?",
        is_telling=True,
    ),
    Form(
        "everything jane did",
        r"(?:everything|what)(?: that)? {person} (?:did|has done)(?: {thing})?",
    ),
    Form("jane's activity", r"{person} 's (?:activity|actions|deeds)"),
    Form(
        "what did jane delete in my-app?",
        r"(?:(?:what|which {types}) )?did {person} (?:last )?{do}(?: {thing})?",
    ),
    Form("when did jane last sign in?", r"when (?:did|has) {person} (?:last )?{do}(?: {thing})?"),
    Form(
        "what has jane deleted?",
        r"(?:what |which {types} )?(?:has|have|had) {person} {done}(?: {thing})?",
    ),
    Form(
        "what happened to my-app/backend?",
        r"what (?:has )?(?:happened|been happening|went on|is going on)(?: {thing})?",
        is_telling=True,
    ),
    Form(
        "history of my-app",
        r"(?:show )?(?:(?:history|activity) {thing}|everything about {path}|{path2} 's history)",
    ),
    Form(
        "when was my-app last rotated?",
        r"(?:when|how often|how many times|what|who) {was} {thing} (?:last )?{done}",
        is_telling=True,
    ),
    Form(
        "when was the last rotation of my-app?",
        r"(?:(?:when|who|what) {was} )?(?:last )?{noun}(?: {thing})?",
    ),
    Form(
        "what changed in my-app?",
        r"what (?:all )?(?:has |have )?{done}(?: {thing})?",
        is_telling=True,
    ),
    Form(
        "what was deleted in my-app?",
        r"(?:what|who|which {types}) {was} (?:last )?{done}(?: {thing})?",
    ),
    Form(
        "failed sign-ins of jane",
        r"(?P<result>failed|denied|refused|successful) {noun}(?: (?:of|by|for) {owner})?",
        is_telling=True,
    ),
)


@dataclass(frozen=True)
class Reading:
    """form: which was recognised; params: what it asks for; is_about_reader: somebody said "I"."""

    form: Form
    params: dict[str, list[str]]
    is_about_reader: bool


def read(words: Sequence[tuple[str, bool]]) -> Reading | None:
    """What the words mean together, if they are one of FORMS; of each, whether it was quoted."""
    spoken = [
        (word, is_quoted) for word, is_quoted in words if is_quoted or word.lower() not in ARTICLES
    ]
    quoted: list[str] = []
    parts = []
    for word, is_quoted in spoken:
        parts.append(f"\x01{len(quoted)}\x01" if is_quoted else re.sub(r"[\x01\x02]", "", word))
        quoted += [word] if is_quoted else []
    text = _BEGINS.sub(rf"\g<0>{_MARK}", " ".join(parts))
    for form in FORMS:
        if match := _compiled(form.pattern).fullmatch(text):
            return _read(form, match, quoted)
    return None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    slots = re.sub(r"\{([a-z]+2?)\}", lambda slot: _SLOTS[slot[1]], pattern)
    marked = slots.replace(r"\ ", " ").replace(" ", rf"{_MARK}? ") + rf"{_MARK}?"
    return re.compile(marked, re.IGNORECASE)


def _read(form: Form, match: re.Match[str], quoted: Sequence[str]) -> Reading:
    found = {
        name: text.replace(_MARK, "")
        for name, text in match.groupdict().items()
        if text is not None
    }
    params: dict[str, list[str]] = {}

    def add(more: Params) -> None:
        for name, values in more.items():
            known = params.setdefault(name, [])
            known += [value for value in values if value not in known]

    def names(*groups: str) -> list[str]:
        return [name for group in groups for name in _names(found.get(group, ""), quoted)]

    add(form.adds)
    for group, meanings in (("done", DONE), ("do", DO), ("noun", NOUNS)):
        if word := found.get(group):
            # Who tried in vain did not sign in successfully.
            more = meanings[word.lower()]
            add({name: more[name] for name in more if name != "result" or name not in form.adds})
    for group in ("types", "type0", "type1"):
        if word := found.get(group):
            add({"type": TYPES[word.lower()]})
    if word := found.get("result"):
        add({"result": [_RESULTS[word.lower()]]})
    if "revoke" in params.get("action", ()) and "user" not in params.get("type", ["user"]):
        # Permissions are revoked; what else people call so is entered as deleted.
        params["action"] = ["delete" if each == "revoke" else each for each in params["action"]]
    if "type" in params and not _is_ever_done(params.get("action", ()), params["type"]):
        # Not projects are rotated but keys, and the one of this project is meant.
        del params["type"]
    people = [name for name in names("person") if name.lower() not in READER]
    add({"actor": people} if people else {})
    things = names("owner", "owner2", "path", "path2", "name0", "name1")
    within = names("in0", "in1", "in2")
    if things and within:
        # Both cannot be asked for as paths, of which any would do.
        add({"q": [" ".join(things)]})
        things = []
    add({"resource": [*things, *within]} if things or within else {})
    return Reading(form, params, len(people) < len(names("person")))


_LEVELS = ("project", "target", "environment")


def _is_ever_done(actions: Sequence[str], types: Sequence[str]) -> bool:
    """Whether any of `actions` may happen to a level itself, rather than to what is in it."""
    [type_name, *others] = types
    spec = policy.resource(type_name)
    if not actions or others or spec is None or type_name not in _LEVELS:
        return True
    done = {name for operation in policy.Operation for name in policy.actions_of(spec, operation)}
    return not done.isdisjoint(actions)


READER = frozenset({"i", "me"})
_RESULTS = {
    "failed": "failed",
    "denied": "denied",
    "refused": "denied",
    "successful": "success",
}


def _names(text: str, quoted: Sequence[str]) -> Iterator[str]:
    for name in re.split(r" (?:or|and) ", text, flags=re.IGNORECASE) if text else []:
        marked = re.fullmatch(r"\x01(\d+)\x01", name)
        yield quoted[int(marked[1])] if marked else name
