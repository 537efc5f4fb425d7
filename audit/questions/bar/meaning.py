"""From the marked words of a sentence to the parameters of a question: who did what to which, and
when. What a word asks for depends on the others: who was removed left, and what was removed is
deleted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from audit import policy
from audit.questions.bar import vocabulary as v
from audit.questions.bar.names import Known
from audit.questions.bar.question import Offer
from audit.questions.bar.roles import (
    ACTOR,
    CONTAINER,
    DOINGS,
    EITHER,
    OBJECT,
    TEXT,
    before_name,
    deed_at,
    role_of,
)
from audit.questions.bar.sentence import Mark, Sentence
from audit.questions.bar.words import replaced
from audit.questions.fields import join


@dataclass
class Piece:
    """Values of a parameter, and the marks that say so."""

    parameter: str
    values: list[str]
    marks: list[Mark] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)
    shown: str = ""


@dataclass
class Reading:
    pieces: list[Piece] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)

    def add(
        self, parameter: str, values: Iterable[str], marks: Sequence[Mark] = (), shown: str = ""
    ) -> Piece:
        for piece in self.pieces:
            if piece.parameter == parameter:
                piece.values += [value for value in values if value not in piece.values]
                piece.marks += [mark for mark in marks if mark not in piece.marks]
                piece.shown = (
                    ", ".join(filter(None, (piece.shown, shown))) if shown else piece.shown
                )
                return piece
        made = Piece(parameter, list(dict.fromkeys(values)), list(marks), shown=shown)
        if made.values:
            self.pieces.append(made)
        return made

    def has(self, parameter: str) -> bool:
        return any(piece.parameter == parameter for piece in self.pieces)

    def values(self, parameter: str) -> list[str]:
        return [v for piece in self.pieces if piece.parameter == parameter for v in piece.values]


def read(sentence: Sentence) -> Reading:
    reading = Reading()
    roles = {id(mark): role_of(sentence, mark) for mark in sentence.of("name")}
    context = _Context(sentence, roles)
    _add_deeds(reading, context)
    _add_plain(reading, sentence)
    _add_names(reading, context)
    _add_types(reading, context)
    _refuse_mixed(reading, sentence)
    _add_times(reading, sentence)
    return reading


_ACTING = ("actor", "actor_role", "actor_type")


def _refuse_mixed(reading: Reading, sentence: Sentence) -> None:
    """by jane or the system: both are asked for at once by no parameter, and either would be less
    than was asked."""
    acting = sorted(
        ((mark.start, mark.end, piece) for piece in reading.pieces for mark in piece.marks
         if piece.parameter in _ACTING),
        key=lambda each: each[:2],
    )  # fmt: skip
    for (_, _, first), (start, end, second) in zip(acting, acting[1:], strict=False):
        is_joined = sentence.word(before_name(sentence, start)) in ("or", "and", "nor")
        if first is not second and is_joined and second in reading.pieces:
            reading.pieces.remove(second)
            why = "Names, roles and kinds of actors cannot be alternatives: ask one at a time."
            sentence.strike(start, end, why)


# -- What the sentence is about as a whole


class _Context:
    def __init__(self, sentence: Sentence, roles: dict[int, str]) -> None:
        self.sentence = sentence
        self.roles = roles
        self.deeds = sentence.included("deed")
        self.names = [mark for mark in sentence.of("name") if not mark.excluded]
        self.types = sentence.included("type")
        self.people = sentence.included("person")
        self.permissions = sentence.included("permissions")
        self.passwords = sentence.included("password")
        self.results = [value for mark in sentence.included("result") for value in mark.value]
        self.has_log = bool(sentence.included("log"))
        self.dropped: list[Mark] = []
        """Marks of types that do not narrow: they say what a name is."""

    def names_as(self, *roles: str) -> list[Mark]:
        return [mark for mark in self.names if self.roles[id(mark)] in roles]

    @property
    def objects(self) -> list[Mark]:
        return self.names_as(OBJECT, CONTAINER)

    @property
    def is_about_person(self) -> bool:
        """Whether what something was done to is a person."""
        objects = self.names_as(OBJECT)
        if objects:
            return any(
                mark.value.is_person and not mark.value.is_thing for mark in objects
            ) and not (self.types and not set(self.types[0].value) & set(v.PEOPLE_TYPES))
        types = {name for mark in self.types for name in mark.value}
        if types & {"membership", "user", "invitation"}:
            return True
        return bool(self.object_people)

    @property
    def object_people(self) -> list[Mark]:
        """Words for people to whom something was done: users deleted, who added members."""
        found = []
        for mark in self.people:
            before, after = mark.start - 1, mark.end
            added = deed_at(self.sentence, after)
            is_listed = self.sentence.word(before) == "list"
            if (
                is_listed
                and added is not None
                and added.form == "past"
                and added.name in ("add", "remove", "invite", "delete", "create")
            ):
                found.append(mark)  # list users added
                continue
            if added is not None and added.form == "noun" and added.name == "remove":
                found.append(mark)  # of all user terminations
                continue
            while self.sentence.word(before) in (v.ARTICLES | {"new"}):
                before -= 1
            lead, following = deed_at(self.sentence, before), deed_at(self.sentence, after)
            new = self.sentence.at(mark.start - 1)
            if new is not None and new.kind == "new":
                found.append(mark)
            elif self.sentence.word(before) in ("which", "what", "by", "list", "of", "did", "do"):
                if (
                    self.sentence.word(before) == "of"
                    and deed_at(self.sentence, before - 1)
                    or self.sentence.word(after) in v.BEING
                    and deed_at(self.sentence, after + 1)
                ):
                    found.append(mark)
                continue
            elif (
                lead is not None
                and lead.name not in ("sign_in", "sign_out", "use")
                or (
                    following is not None
                    and following.form in ("past", "noun")
                    and (
                        following.name
                        not in ("sign_in", "sign_out", "use", "read", "access", "export")
                    )
                )
                or self.sentence.word(after) in v.BEING
                and deed_at(self.sentence, after + 1)
            ):
                found.append(mark)
        return found


# -- Deeds


def _add_deeds(reading: Reading, context: _Context) -> None:
    sentence = context.sentence
    for mark in sentence.of("deed"):
        if mark.excluded:
            reading.add(
                "exclude_action", v.excluded_actions(mark.value), [mark], _spoken(sentence, mark)
            )
    for mark in sentence.of("group"):
        name = "exclude_action" if mark.excluded else "action"
        reading.add(name, [mark.value], [mark], policy.action_group(mark.value).label)  # type: ignore[union-attr]
    _add_values(reading, context)
    _add_role_held(reading, context)
    _add_role_changes(reading, context)
    _add_passwords(reading, context)
    _add_new(reading, context)
    if sentence.settings.get("is_comparison"):
        for mark in context.deeds:
            mark.kind = "filler"
        sentence.marks = [mark for mark in sentence.marks if mark.kind != "filler"]
        context.deeds = []
    _drop_light_verbs(sentence, context)
    for mark in context.deeds:
        _add_deed(reading, context, mark)
    for mark in sentence.of("access"):
        if mark.excluded:
            reading.add("exclude_action", v.LOOKS, [mark], "access")
        elif _is_looking(context):
            reading.add("action", v.LOOKS, [mark], "access")
        elif context.has_log and not context.results and not context.deeds:
            reading.add("action", ["view"], [mark], "access")
            reading.add("type", ["audit_log"], sentence.included("log"))
    if sentence.of("tried"):
        reading.add("result", ["denied", "failed"], sentence.of("tried"))
    for mark in sentence.of("reason"):
        for name, values in mark.value.items():
            reading.add(name, values, [mark])
    if not reading.has("action"):
        _add_permissions_alone(reading, context)


def _is_looking(context: _Context) -> bool:
    """Whether "access" is to something, rather than denied or changed."""
    others = [mark for mark in context.deeds if mark.value.name != "touch"]
    return bool(context.objects or context.types) and not context.results and not others


def _drop_light_verbs(sentence: Sentence, context: _Context) -> None:
    """Changes that were made are changes; deleted invitations are deleted."""
    nouns = [mark for mark in context.deeds if mark.value.form == "noun"]
    for mark in list(context.deeds):
        others = [each for each in context.deeds if each is not mark]
        if mark.value.name == "create" and sentence.word(mark.start) in (
            "made",
            "make",
            "makes",
            "making",
        ):
            if nouns:
                context.deeds.remove(mark)
        elif mark.value.name == "invite" and mark.value.form == "noun" and others:
            context.deeds.remove(mark)
            if {each.value.name for each in others} == {"accept"}:
                continue
            mark.kind, mark.value = "type", ("invitation",)
            context.types.append(mark)
    if any(mark.value.name == "switch_custody" for mark in context.deeds):
        context.deeds = [mark for mark in context.deeds if mark.value.name != "change"]
    membering = {"remove", "add", "invite", "join", "leave"}
    if {mark.value.name for mark in context.deeds} & membering:
        for mark in [each for each in context.types if each.value == ("organization",)]:
            # removed from the organization
            context.types.remove(mark)
            context.dropped.append(mark)


def _spoken(sentence: Sentence, mark: Mark) -> str:
    return sentence.words_of(mark.start, mark.end).strip("?!,;.-")


def _add_values(reading: Reading, context: _Context) -> None:
    """status changed to active, set history policy from keep to re_encrypt, status became active"""
    sentence = context.sentence
    for field_mark in sentence.included("field"):
        if "role" in field_mark.value:
            continue
        place = field_mark.end
        while place < len(sentence):
            mark, word = sentence.at(place), sentence.word(place)
            if word in ("to", "from", "became", "becomes", "as") and place + 1 < len(sentence):
                name = "was" if word == "from" else "became"
                value = sentence.tokens[place + 1]
                taken = sentence.at(place + 1)
                if value.name or (
                    taken is not None and taken.kind not in ("name", "result", "type", "filler")
                ):
                    break
                if taken is not None and taken in sentence.marks:
                    sentence.drop(taken)
                made = sentence.mark(place, place + 2, "value", value.value)
                reading.add(name, [f"{field_mark.value[0]}:{value.value}"], [made, field_mark])
                place += 2
            elif word in ("set", "switched") and mark is None:
                sentence.fill(place, place + 1)
                place += 1
            elif word in v.BEING or (mark is not None and mark.kind in ("deed", "filler")):
                place += 1
            else:
                break
    is_role = bool(sentence.included("role"))
    if not is_role and not sentence.included("field"):
        _add_became(reading, context)
    for mark in list(context.deeds):
        if (
            (
                mark.value.name == "promote"
                and sentence.word(mark.start).startswith("becom")
                and not is_role
            )
            or mark.value.name == "promote"
            and sentence.word(mark.start) == "became"
            and not is_role
        ):
            context.deeds.remove(mark)
    context.deeds = [mark for mark in context.deeds if mark in sentence.marks]


def _add_became(reading: Reading, context: _Context) -> None:
    """became production, of whatever field"""
    sentence = context.sentence
    for place in range(len(sentence) - 1):
        if sentence.word(place) not in ("became", "becomes"):
            continue
        taken, value = sentence.at(place + 1), sentence.tokens[place + 1]
        if value.name or (taken is not None and taken.kind not in ("name", "filler", "type")):
            continue
        for mark in (sentence.at(place), taken):
            if mark is not None and mark in sentence.marks:
                sentence.drop(mark)
        context.names = [mark for mark in context.names if mark in sentence.marks]
        context.types = [mark for mark in context.types if mark in sentence.marks]
        made = sentence.mark(place, place + 2, "value", value.value)
        reading.add("became", [join([value.value])], [made])


def _add_role_changes(reading: Reading, context: _Context) -> None:
    """role changes; promoted to owner; was made an admin; changed the role of sam"""
    sentence = context.sentence
    verbs = {mark.value.name: mark for mark in context.deeds}
    roles = [
        mark
        for mark in sentence.included("role")
        if not _is_by(sentence, before_name(sentence, mark.start))
    ]
    is_right_of_role = any(
        (following := sentence.at(mark.end)) is not None
        and following.kind in ("permissions", "access")
        for mark in roles
    )
    if context.permissions and not is_right_of_role:
        verbs.pop("grant", None)
    fields = [mark for mark in sentence.included("field") if "role" in mark.value]
    gives = next(
        (
            verbs[name]
            for name in ("promote", "create", "grant", "change", "update", "set")
            if name in verbs
        ),
        None,
    )
    is_given = (
        bool(roles)
        and gives is not None
        and any(
            sentence.word(mark.start - n)
            in ("to", "an", "a", "into", "as", "from", "the", "made", "became", "of")
            or deed_at(sentence, mark.start - n) is not None
            for mark in roles
            for n in (1, 2)
        )
    )
    is_given = is_given or (is_right_of_role and gives is not None)
    leads = {sentence.word(before_name(sentence, mark.start)) for mark in roles}
    is_given = is_given or leads >= {"from", "to"}  # from member to admin
    if is_right_of_role and is_given:
        context.permissions = []  # admin rights are a role
    is_made = gives is not None and gives.value.name == "create" and bool(context.types)
    if "promote" not in verbs and not fields and (not is_given or is_made):
        _add_joined_as(reading, context, roles)
        return
    if "create" in verbs and not fields and not roles:
        return
    used = [*fields, *([gives] if gives else [])]
    reading.add("type", ["membership"], used)
    reading.add("field", ["role"], used, "role")
    if any(mark.value.name in ("update",) for mark in context.deeds):
        reading.add("action", ["update"], used)
    context.deeds = [
        mark for mark in context.deeds
        if mark.value.name not in ("promote", "create", "change", "update", "grant", "set", "add")
    ]  # fmt: skip
    for mark in roles:
        before = sentence.word(mark.start - 1)
        before = sentence.word(mark.start - 2) if before in v.ARTICLES else before
        if before == "by":
            continue
        name = "was" if before == "from" else "became"
        reading.add(name, [f"role:{mark.value}"], [mark], mark.value.replace("_", " "))
        mark.kind = "used_role"


def _add_role_held(reading: Reading, context: _Context) -> None:
    """was lena ever an admin"""
    sentence = context.sentence
    said = {sentence.word(place) for place in range(len(sentence))}
    if context.deeds or "ever" not in said or not said & v.BEING:
        return
    for mark in sentence.included("role"):
        if _is_by(sentence, before_name(sentence, mark.start)):
            continue
        reading.add("type", ["membership"], [mark])
        reading.add("field", ["role"], [mark], "role")
        reading.add("became", [f"role:{mark.value}"], [mark], mark.value.replace("_", " "))
        mark.kind = "used_role"


def _add_joined_as(reading: Reading, context: _Context, roles: list[Mark]) -> None:
    """invited as admin, joined as developer"""
    sentence = context.sentence
    if not any(mark.value.name in ("invite", "join", "add") for mark in context.deeds):
        return
    for mark in roles:
        before = sentence.word(mark.start - 1)
        before = sentence.word(mark.start - 2) if before in v.ARTICLES else before
        if before == "as":
            reading.add("became", [f"role:{mark.value}"], [mark], mark.value.replace("_", " "))
            mark.kind = "used_role"


def _add_passwords(reading: Reading, context: _Context) -> None:
    sentence = context.sentence
    marks = context.passwords
    resets = sentence.included("reset")
    if not marks:
        return
    changed = [mark for mark in context.deeds if mark.value.name in ("change", "update")]
    if set(context.results) & set(v.FAILURES) and not context.deeds:
        reading.add("action", ["sign_in"], marks, "sign-ins")  # failed password attempts
        return
    actions = []
    if resets:
        actions = (
            ["reset_password"]
            if sentence.word(marks[0].end) in ("reset", "resets")
            else [
                "change_password",
                "reset_password",
            ]
        )
    elif changed or not context.deeds:
        actions = ["change_password", "reset_password"]
    if actions:
        reading.add("action", actions, [*marks, *resets, *changed], "password changes")
        context.deeds = [mark for mark in context.deeds if mark not in changed]


def _add_new(reading: Reading, context: _Context) -> None:
    """new API keys, new members"""
    for mark in context.sentence.included("new"):
        following = context.sentence.at(mark.end)
        if context.deeds or following is None:
            continue
        if following.kind == "person" or (
            following.kind == "type" and set(following.value) & {"membership"}
        ):
            reading.add("action", ["invite", "join"], [mark], "new")
            if following.kind == "person":
                context.dropped.append(following)
        elif following.kind in ("type", "name"):
            reading.add("action", ["create"], [mark], "new")


def _add_deed(reading: Reading, context: _Context, mark: Mark) -> None:
    sentence, deed = context.sentence, mark.value
    shown = _spoken(sentence, mark)
    adder = _BY_VERB.get(deed.name)
    if adder is not None:
        adder(reading, context, mark, shown)
    elif deed.name not in ("touch", "try", "promote"):
        reading.add("action", v.ACTION_VALUES.get(deed.name, (deed.name,)), [mark], shown)
    if deed.name in ("push", "pull"):
        reading.add("type", ["secret"], [mark])


def _add_change(reading: Reading, context: _Context, mark: Mark, shown: str) -> None:
    fields = context.sentence.included("field")
    if fields:
        mark.kind = "filler"
        return
    is_key = any(each.value.is_key and not each.value.is_person for each in context.objects)
    if context.permissions and is_key:
        reading.add("field", ["abilities"], [mark, *context.permissions])
        return
    if context.permissions:
        reading.add("action", ["grant", "revoke"], [mark], "permissions changed")
        reading.add("type", ["user"], context.permissions)
        return
    reading.add("action", ["changes"], [mark], shown)


def _add_update(reading: Reading, context: _Context, mark: Mark, shown: str) -> None:
    if context.permissions and not context.types:
        _add_change(reading, context, mark, shown)
        return
    reading.add("action", ["update"], [mark], shown)


def _add_rename(reading: Reading, context: _Context, mark: Mark, shown: str) -> None:
    reading.add("action", ["update"], [mark], shown)
    reading.add("field", ["name", "slug"], [mark])


def _add_add(reading: Reading, context: _Context, mark: Mark, shown: str) -> None:
    if context.permissions and not context.types:
        reading.add("action", ["grant"], [mark], shown)
    elif context.is_about_person:
        reading.add("action", ["invite", "join"], [mark], shown)
        context.dropped += context.object_people
    else:
        reading.add("action", ["create"], [mark], shown)


def _add_remove(reading: Reading, context: _Context, mark: Mark, shown: str) -> None:
    if context.permissions and not context.types:
        _add_revoke(reading, context, mark, shown)
    elif context.is_about_person:
        reading.add("action", ["delete", "leave"], [mark], shown)
        if not context.objects and not context.types:
            reading.add("type", ["membership", "user"], context.object_people)
            context.dropped += context.object_people
    else:
        reading.add("action", ["delete"], [mark], shown)


def _add_revoke(reading: Reading, context: _Context, mark: Mark, shown: str) -> None:
    types = {name for each in context.types for name in each.value}
    keys = [
        each for each in context.names_as(OBJECT) if each.value.is_key and not each.value.is_person
    ]
    if context.permissions or (context.is_about_person and not types):
        reading.add("action", ["revoke"], [mark], shown)
        reading.add("type", ["user"], context.permissions)
    elif types or keys:
        # Permissions are revoked; what else people call so is entered as deleted.
        reading.add("action", ["delete"], [mark], shown)
        if keys and not types:
            reading.add("type", ["api_key"], keys)
    elif any(each.value.name == "grant" for each in context.deeds):
        reading.add("action", ["revoke"], [mark], shown)
    else:
        reading.add("action", ["revoke", "delete"], [mark], shown)


def _add_grant(reading: Reading, context: _Context, mark: Mark, shown: str) -> None:
    reading.add("action", ["grant"], [mark, *context.permissions], shown)
    if context.permissions:
        reading.add("type", ["user"], context.permissions)


def _add_look(reading: Reading, context: _Context, mark: Mark, shown: str) -> None:
    if context.has_log and not context.types:
        reading.add("action", ["view"], [mark], shown)
        reading.add("type", ["audit_log"], context.sentence.included("log"))
        return
    has_object = bool(context.types or context.objects or context.object_people)
    if mark.value.name == "access" and not has_object:
        if not context.names_as(ACTOR) or not context.deeds[1:]:
            mark.kind = "filler"
        return
    reading.add("action", v.LOOKS, [mark], shown)
    types = {name for each in context.types for name in each.value}
    if "secret" in types and "secret_version" not in types:
        reading.notes.append(
            "Reading an earlier version of a secret is listed under secret versions:"
            " add type:secret_version."
        )


def _add_rotate(reading: Reading, context: _Context, mark: Mark, shown: str) -> None:
    """Of a project, and whatever else is not itself a key, the key is meant."""
    reading.add("action", ["rotate"], [mark], shown)
    types = {name for each in context.types for name in each.value}
    if types - set(v.LEVELS) - v.KEYS:
        return
    objects = context.objects
    if not objects:
        if types & set(v.LEVELS):
            reading.add("type", ["key_version"], [mark])
            context.dropped += context.types
        return
    is_key = all(each.value.is_key and not each.value.is_thing for each in objects)
    is_level = all(not each.value.is_key for each in objects)
    reading.add(
        "type",
        ["api_key"] if is_key else ["key_version"] if is_level else ["key_version", "api_key"],
        [mark],
    )
    context.dropped += context.types


def _add_sign_in(reading: Reading, context: _Context, mark: Mark, shown: str) -> None:
    sentence = context.sentence
    reading.add("action", ["sign_in"], [mark], shown)
    is_said = (
        context.results
        or sentence.of("tried")
        or sentence.of("reason")
        or any(m.kind == "result" for m in sentence.of("result"))
    )
    if mark.value.form in ("past", "base") and not is_said and not _is_noun(sentence, mark):
        # Who signed in was let in; a sign-in may be any attempt.
        reading.add("result", ["success"], [mark])


def _is_noun(sentence: Sentence, mark: Mark) -> bool:
    following = sentence.word(mark.end)
    return following in (
        "attempt",
        "attempts",
        "event",
        "events",
        "history",
        "activity",
        "failures",
    )


def _add_use(reading: Reading, context: _Context, mark: Mark, shown: str) -> None:
    """Who used a key is who acted by it; that something was used narrows nothing."""
    if not context.names_as(ACTOR) and any("api_key" in each.value for each in context.types):
        reading.add("actor_type", ["api_key"], context.types)
    mark.kind = "filler"
    keys = {*v.KEYS, "access_token"}
    context.dropped += [each for each in context.types if set(each.value) <= keys]


def _add_export(reading: Reading, context: _Context, mark: Mark, shown: str) -> None:
    reading.add("action", ["export"], [mark], shown)
    if context.has_log:
        reading.add("type", ["audit_log"], context.sentence.included("log"))


def _add_address(reading: Reading, context: _Context, mark: Mark, shown: str) -> None:
    others = [
        each for each in context.deeds if each.value.name not in ("use", "touch", "new_address")
    ]
    if others:
        why = "Which addresses are new is recorded of keys: ask for keys used from a new address."
        context.sentence.strike(mark.start, mark.end, why)
        return
    reading.add("action", ["new_address"], [mark], "used from a new address")
    context.dropped += context.types


_BY_VERB = {
    "change": _add_change,
    "update": _add_update,
    "rename": _add_rename,
    "add": _add_add,
    "remove": _add_remove,
    "revoke": _add_revoke,
    "grant": _add_grant,
    "read": _add_look,
    "access": _add_look,
    "rotate": _add_rotate,
    "sign_in": _add_sign_in,
    "use": _add_use,
    "export": _add_export,
    "new_address": _add_address,
}


def _add_permissions_alone(reading: Reading, context: _Context) -> None:
    """permissions of jane"""
    if context.permissions and not context.deeds:
        reading.add("action", ["grant", "revoke"], context.permissions, "permissions changed")
        reading.add("type", ["user"], context.permissions)


# -- What means one thing wherever it stands


def _add_plain(reading: Reading, sentence: Sentence) -> None:
    for kind, parameter in (
        ("result", "result"),
        ("interface", "interface"),
        ("ip", "ip"),
        ("agent", "user_agent"),
        ("actor_kind", "actor_type"),
        ("severity", "severity"),
        ("id", "id"),
        ("hours", "hours"),
        ("days", "days"),
        ("role", "actor_role"),
    ):
        for mark in sentence.of(kind):
            values = list(mark.value) if isinstance(mark.value, list | tuple) else [mark.value]
            name = f"exclude_{parameter}" if mark.excluded else parameter
            reading.add(name, [str(value) for value in values], [mark])
    for mark in sentence.of("field"):
        name = "exclude_field" if mark.excluded else "field"
        if mark.excluded or "role" not in mark.value:
            reading.add(name, mark.value, [mark])
            if mark.value == ("email",) and not mark.excluded:
                reading.add("type", ["user"], [mark])
    for mark in sentence.included("actor_kind"):
        if mark.value == "system" and not _does_something(sentence, mark):
            reading.pieces = [piece for piece in reading.pieces if mark not in piece.marks]
            sentence.drop(mark)
            sentence.fill(mark.start, mark.end)
    for mark in sentence.included("role"):
        if not _does_something(sentence, mark):
            reading.pieces = [piece for piece in reading.pieces if mark not in piece.marks]
            role = sentence.words_of(mark.start, mark.end)
            offers = [
                Offer(replaced(sentence, mark.start, mark.end, f"{how} {role}"), f"{how} {role}")
                for how in ("by", "as")
            ]
            why = "Is that who did it, or the role that was given?"
            sentence.strike(mark.start, mark.end, why, offers)
    for mark in sentence.of("person"):
        if mark.excluded:
            reading.add("exclude_actor_type", ["user"], [mark])


def _does_something(sentence: Sentence, mark: Mark) -> bool:
    """by admins, what did owners do, admin activity, owners' sign-ins"""
    before = before_name(sentence, mark.start)
    lead, following = sentence.word(before), sentence.word(mark.end)
    if mark.kind == "qualifier" or lead in ("which", "by", "did", "have", "has", "do", "of"):
        return True
    if sentence.tokens[mark.start].name:
        return True
    if lead in ("or", "and", "nor") and _is_by(sentence, before):
        return True
    after = mark.end + (following == "'s")
    deed = deed_at(sentence, after)
    if deed is not None:
        is_plural = (
            sentence.word(mark.end - 1).endswith("s") or following == "'s" or mark.value == "system"
        )
        return deed.form == "noun" or is_plural or sentence.word(mark.start - 1) in v.ARTICLES
    return sentence.word(after) in DOINGS or sentence.word(after) in ("did", "has", "have", "users")


# -- Names


def _add_names(reading: Reading, context: _Context) -> None:
    sentence = context.sentence
    objects: list[Mark] = []
    containers: list[Mark] = []
    for mark in sentence.of("name"):
        role = context.roles[id(mark)]
        value = join([mark.value.value])
        if mark.excluded:
            _leave_out(reading, sentence, mark, role, value)
        elif role == ACTOR and (mark.value.acts or not mark.value.types):
            piece = reading.add("actor", [value], [mark])
            _offer_others(piece, sentence, mark)
            _drop_apposition(context, mark)
        elif role == CONTAINER:
            containers.append(mark)
        elif role == TEXT:
            reading.add("q", [mark.value.value], [mark])
        else:
            objects.append(mark)
    _add_places(reading, context, objects, containers)


def _leave_out(reading: Reading, sentence: Sentence, mark: Mark, role: str, value: str) -> None:
    known: Known = mark.value
    if not known.actors and not known.types:
        reading.add("exclude_q", [value], [mark])
        return
    if known.acts and role in (ACTOR, EITHER):
        reading.add("exclude_actor", [value], [mark])
    if role != ACTOR and (known.types or not known.acts):
        reading.add("exclude_resource", [value], [mark])


def _offer_others(piece: Piece, sentence: Sentence, mark: Mark) -> None:
    """dev is a person and the key dev@laptop: each can be chosen."""
    actors = mark.value.actors
    if len(actors) < 2:
        return
    for kind, label in actors[:6]:
        text = replaced(sentence, mark.start, mark.end, f'"{label}"' if " " in label else label)
        noun = "the API key" if kind == "api_key" else policy.RESOURCE_TYPES.get(kind, kind)
        piece.offers.append(Offer(text, f"{noun} {label}"))


def _apposition(context: _Context, mark: Mark) -> Mark | None:
    """The type beside a name: the API key ci, the production environment."""
    sentence = context.sentence
    for place in (mark.end, mark.start - 1):
        found = sentence.at(place)
        if found is not None and found.kind in ("type", "person") and not found.excluded:
            if place == mark.end and sentence.tokens[mark.end - 1].ends:
                continue
            return found
    if sentence.word(mark.start - 1) in ("the", "named", "called"):
        found = sentence.at(mark.start - 2)
        if found is not None and found.kind == "type":
            return found
    return None


def _drop_apposition(context: _Context, mark: Mark) -> None:
    found = _apposition(context, mark)
    if (
        found is not None
        and found.kind == "type"
        and set(found.value) & {"user", "membership", "access_token", *v.KEYS}
    ):
        context.dropped.append(found)


def _add_places(
    reading: Reading, context: _Context, objects: list[Mark], containers: list[Mark]
) -> None:
    sentence = context.sentence
    for mark in objects:
        _settle_type(reading, context, mark)
    for mark in containers:
        _settle_container(context, mark)
    paths: list[tuple[str, list[Mark]]] = []
    words: list[str] = []
    worded: list[Mark] = []
    for run in _in_rows(sentence, objects):
        path, rest = _path(sentence, run)
        paths.append((path, run))
        words += rest
        worded += run if rest else []
    inner = [(mark.value.value, [mark]) for mark in containers]
    if paths and inner:
        _add_within(reading, sentence, paths, inner)
    else:
        for path, marks in (*paths, *inner):
            piece = reading.add("resource", [join([path])], marks)
            for mark in marks:
                _offer_actor(piece, mark)
    if words:
        reading.add("q", [" ".join(dict.fromkeys(words))], worded)


def _settle_type(reading: Reading, context: _Context, mark: Mark) -> None:
    """The type beside a name says which of several is meant; or it only says what that is."""
    found = _apposition(context, mark)
    if found is None or found.kind != "type":
        return
    types = set(found.value)
    fitting = [name for name in found.value if name in mark.value.types]
    if fitting and len(fitting) < len(types):
        found.value = tuple(fitting)
    elif "key_version" in types and not mark.value.is_key:
        found.value = ("key_version",)  # the key of payments, payments' key
    is_asked = context.deeds or reading.has("action")
    is_own_kind = types <= {"secret", "secret_version", "access_token", *v.KEYS}
    is_said_twice = types <= {"user", "membership"} or not is_asked
    if is_said_twice and is_own_kind:
        return
    is_level = types <= set(v.LEVELS)
    if is_said_twice or (is_level and not _is_ever_done(reading.values("action"), types)):
        context.dropped.append(found)


def _settle_container(context: _Context, mark: Mark) -> None:
    """in the project storefront: everything there is meant, not the project alone."""
    found = _apposition(context, mark)
    is_level = found is not None and found.kind == "type" and set(found.value) <= set(v.LEVELS)
    if found is not None and is_level and (found.start < mark.start or len(context.types) > 1):
        context.dropped.append(found)
    for each in context.types:
        if set(each.value) == v.KEYS:
            each.value = ("key_version",)


def _add_within(
    reading: Reading,
    sentence: Sentence,
    paths: list[tuple[str, list[Mark]]],
    inner: list[tuple[str, list[Mark]]],
) -> None:
    """production of storefront: both cannot be asked for as paths, of which any would do."""
    if len(paths) == 1 and len(inner) == 1 and sentence.log.is_path(f"{inner[0][0]}/{paths[0][0]}"):
        reading.add(
            "resource", [join([f"{inner[0][0]}/{paths[0][0]}"])], [*inner[0][1], *paths[0][1]]
        )
        return
    for path, marks in inner:
        reading.add("resource", [join([path])], marks)
    reading.add("q", [" ".join(path for path, _ in paths)], [m for _, ms in paths for m in ms])


def _offer_actor(piece: Piece, mark: Mark) -> None:
    """What was done to a person or a key, or by it."""
    if mark.value.acts and not mark.value.is_thing:
        name = mark.value.value
        text = f'actor:"{name}"' if " " in name else f"actor:{name}"
        piece.offers.append(Offer(text, f"what {name} did"))


def _in_rows(sentence: Sentence, marks: list[Mark]) -> list[list[Mark]]:
    """Names that follow each other at once may be one path; others are alternatives."""
    rows: list[list[Mark]] = []
    for mark in marks:
        last = rows[-1][-1] if rows else None
        is_next = last is not None and (
            last.end == mark.start
            or (last.end + 1 == mark.start and sentence.word(last.end) == "'s")
            or all(
                (m := sentence.at(n)) is not None and m.kind == "type"
                for n in range(last.end, mark.start)
            )
        )
        if is_next and last is not None and not sentence.tokens[last.end - 1].ends:
            rows[-1].append(mark)
        else:
            rows.append([mark])
    return rows


def _path(sentence: Sentence, run: list[Mark]) -> tuple[str, list[str]]:
    """The longest path that the names of a row are, and those that it leaves over."""
    names = [mark.value.value for mark in run]
    if len(names) == 1:
        return names[0], []
    for order in (names, names[::-1]):
        path = "/".join(order)
        if sentence.log.is_path(path):
            return path, []
    return names[0], names[1:]


def _is_ever_done(actions: Sequence[str], types: Iterable[str]) -> bool:
    """Whether any of `actions` may happen to a level itself, rather than to what is in it."""
    done: set[str] = set()
    for name in types:
        spec = policy.resource(name)
        if spec is None:
            return True
        for operation in policy.Operation:
            done |= set(policy.actions_of(spec, operation))
    return not actions or bool({"changes", "security_changes", *done} & set(actions))


# -- Types


def _add_types(reading: Reading, context: _Context) -> None:
    sentence = context.sentence
    for mark in sentence.of("type"):
        if mark.excluded and _is_actor_kind(sentence, mark):
            kinds = [kind for name in mark.value if (kind := _KIND_OF.get(name))]
            reading.add("exclude_actor_type", kinds, [mark])
        elif mark.excluded:
            reading.add("exclude_type", mark.value, [mark])
    for mark in sentence.of("log"):
        if mark.excluded:
            reading.add("exclude_type", mark.value, [mark])
    actors = bool(context.names_as(ACTOR))
    if any(mark.value == "project" for mark in sentence.of("by")):
        # which project has the most changes: in it, not to it
        context.dropped += [mark for mark in context.types if mark.value == ("project",)]
    if sentence.of("id"):
        context.dropped += context.types  # the key with this fingerprint
    for mark in context.types:
        _add_type(reading, context, mark)
    for mark in context.object_people:
        if mark not in context.dropped and not reading.has("type"):
            word = sentence.word(mark.start)
            types = ["membership"] if word.startswith(("member", "team")) else ["user"]
            if set(reading.values("action")) & {"invite", "join", "leave"}:
                continue
            reading.add("type", types, [mark])
            del actors
            actors = True
    for mark in context.people:
        _add_people_who_act(reading, context, mark)


def _is_said_to_act(sentence: Sentence, before: int, after: int) -> bool:
    """which key read the most secrets; keys that were denied access"""
    deed = deed_at(sentence, after)
    if sentence.word(before) in ("which", "what") and deed is not None and deed.form == "past":
        return after + 1 < len(sentence) and deed.name not in ("rotate", "create", "delete")
    while sentence.word(after) in ("that", "which", "were", "was", "got", "being"):
        after += 1
    mark = sentence.at(after)
    return mark is not None and mark.kind == "result" and "denied" in mark.value


def _add_type(reading: Reading, context: _Context, mark: Mark) -> None:
    if mark in context.dropped or (mark.value == ("organization",) and not reading.has("action")):
        return
    is_settings = context.sentence.word(mark.start) == "settings" and mark.end - mark.start == 1
    if is_settings and context.objects:
        return  # of storefront, not of the organization
    if _is_actor_kind(context.sentence, mark):
        kinds = [kind for name in mark.value if (kind := _KIND_OF.get(name))]
        reading.add("actor_type", kinds, [mark])
        return
    types = list(mark.value)
    if set(types) == {"secret_version", "key_version"}:
        types = ["secret_version"]
    reading.add("type", types, [mark])


_KIND_OF = {"api_key": "api_key", "user": "user"}


def _is_actor_kind(sentence: Sentence, mark: Mark) -> bool:
    """deletions by API keys, what did API keys do, by one key, API key requests"""
    place = mark.start - 1
    while sentence.word(place) in v.ARTICLES or sentence.word(place) in ("one", "single", "same"):
        place -= 1
    following = sentence.at(mark.end)
    if mark.value == ("api_key",) and sentence.word(mark.end) in ("requests", "calls", "usage"):
        return True
    if "api_key" in mark.value and _is_said_to_act(sentence, place, mark.end):
        return True
    does = sentence.word(place) in v.AUXILIARIES and (
        sentence.word(mark.end) in ("do", "done")
        or (following is not None and following.kind == "deed")
    )
    return (does or _is_by(sentence, place)) and bool(set(mark.value) & _KIND_OF.keys())


_WHO = frozenset({"actor_kind", "role", "type", "person", "name"})


def _is_by(sentence: Sentence, place: int) -> bool:
    """Whether "by" leads here, past others who did it: by people or the system."""
    while place >= 0 and sentence.word(place) != "by":
        mark = sentence.at(place)
        if mark is not None and mark.kind in _WHO:
            place = mark.start - 1
        elif sentence.word(place) in v.ARTICLES or sentence.word(place) in ("or", "and", "nor"):
            place -= 1
        else:
            return mark is not None and mark.kind == "actor_kind"
    return place >= 0


def _add_people_who_act(reading: Reading, context: _Context, mark: Mark) -> None:
    """by people: actors of this kind"""
    sentence = context.sentence
    place = mark.start - 1
    while sentence.word(place) in v.ARTICLES:
        place -= 1
    following = sentence.at(mark.end)
    is_named = following is not None and following.kind == "name"
    if sentence.word(place) == "by" and not is_named and mark not in context.object_people:
        reading.add("actor_type", ["user"], [mark])


# -- Times


def _add_times(reading: Reading, sentence: Sentence) -> None:
    _join_days(sentence)
    named: dict[str, str] = {}
    for mark in sentence.of("time", "times"):
        values = [mark.value] if mark.kind == "time" else mark.value
        for name, text in values:
            if name in named and named[name] != text:
                sentence.strike(
                    mark.start, mark.end, f"One {name} is enough; {named[name]} was taken."
                )
                break
            named[name] = text
            reading.pieces.append(Piece(name, [text], [mark]))


def _join_days(sentence: Sentence) -> None:
    """yesterday or today: from the first to the last, where nothing lies between."""
    marks = [mark for mark in sentence.of("time") if mark.value[0] == "when"]
    if len(marks) != 2:
        return
    first, second = marks
    between = {sentence.word(n) for n in range(first.end, second.start)}
    if not between <= {"or", "and", "on", "in", ""} or second.start - first.end > 2:
        return
    periods = [sentence.resolve("when", mark.value[1]) for mark in marks]
    if None in periods:
        return
    one, other = sorted(periods, key=lambda period: period.since)  # type: ignore[union-attr, arg-type, return-value]
    if one.until is None or other.since is None or one.until < other.since:  # type: ignore[union-attr]
        return
    texts = dict(zip(map(id, periods), (mark.value[1] for mark in marks), strict=True))
    first.kind, second.kind = "times", "filler"
    first.value = [("since", texts[id(one)]), ("until", texts[id(other)])]
    sentence.marks.remove(second)
    sentence.stretch(first, first.start, second.end)
