"""Who or what a name is in its sentence: who acts, what something is done to, or where that
lies. The words around it say so."""

from __future__ import annotations

from audit.questions.bar import vocabulary as v
from audit.questions.bar.names import Known
from audit.questions.bar.sentence import Mark, Sentence
from audit.questions.bar.tokens import word_set

ACTOR, OBJECT, CONTAINER, TEXT, EITHER = "actor", "object", "container", "text", "either"

_WITHIN = word_set("in on under below within inside into at across of from for")
_PLACING = word_set("by in on of to under below within inside at")
_TO = word_set(
    """
    to about against concerning regarding affecting involving touching on
    """
)
DOINGS = word_set(
    """
    activity activities action actions event events operation operations request requests work
    history session sessions calls use usage deeds
    """
)
_EVERYBODY = word_set(
    """
    everyone everybody anyone anybody people person who users members someone somebody
    """
)


_SMALL = frozenset({"named", "called", "new", "individual", "source", "user", "actor"})


def before_name(sentence: Sentence, place: int) -> int:
    """The word before a name and what belongs to it: the API key ci."""
    place -= 1
    while place >= 0:
        mark = sentence.at(place)
        word = sentence.word(place)
        is_apposition = mark is not None and mark.kind in ("type", "person")
        is_article = word in v.ARTICLES and word not in ("all", "every", "each")
        if is_apposition or is_article or word in _SMALL:
            place -= 1
            continue
        return place
    return -1


def after_name(sentence: Sentence, place: int) -> int:
    """The word after a name and what belongs to it."""
    while place < len(sentence):
        mark = sentence.at(place)
        if other := _next_joined(sentence, place):
            place = other.end  # did sam or priya delete
            continue
        is_small = sentence.word(place) in ("last", "ever", "just", "also", "first", "recently")
        if (mark is not None and mark.kind in ("type", "person", "order")) or is_small:
            place += 1
            continue
        return place
    return len(sentence)


def _next_joined(sentence: Sentence, place: int) -> Mark | None:
    """The name that "and" or "or" at `place` adds to the one before it."""
    if place == 0 or sentence.word(place) not in ("and", "or", "nor"):
        return None
    before, mark = sentence.at(place - 1), sentence.at(place + 1)
    is_owner = sentence.word(place - 1) == "'s"
    if mark is None or mark.kind != "name" or not (is_owner or (before and before.kind == "name")):
        return None
    return mark


def deed_at(sentence: Sentence, place: int) -> v.Deed | None:
    mark = sentence.at(place)
    if mark is None:
        return None
    if mark.kind == "deed" and isinstance(mark.value, v.Deed):
        return mark.value
    return v.Deed("touch", "past") if mark.kind == "tried" else None


def role_of(sentence: Sentence, mark: Mark) -> str:
    """Whether a name is who acts, what something is done to, or where that lies."""
    before = before_name(sentence, mark.start)
    joined = _joined_to(sentence, before)
    if joined is not None:
        return role_of(sentence, joined)
    seen = _Seen(sentence, mark, before, after_name(sentence, mark.end))
    for rule in _RULES:
        role = rule(seen)
        if role:
            return role
    return OBJECT if seen.deeds else ACTOR


class _Seen:
    """A name in its place: what leads to it, and what follows."""

    def __init__(self, sentence: Sentence, mark: Mark, before: int, after: int) -> None:
        self.sentence = sentence
        self.mark = mark
        self.known: Known = mark.value
        self.before, self.after = before, after
        self.lead, self.following = sentence.word(before), sentence.word(after)
        self.deeds = [each.value.name for each in sentence.included("deed")]
        self.deed, self.lead_deed = deed_at(sentence, after), deed_at(sentence, before)


def _of_lead(seen: _Seen) -> str:
    """by jane; a name that nothing here has; a thing, that acts by nobody"""
    known = seen.known
    if seen.lead == "by":
        return ACTOR
    if not known.actors and not known.types:
        return TEXT
    if not known.acts:
        return CONTAINER if seen.lead in _WITHIN else OBJECT
    if "use" in seen.deeds and set(seen.deeds) <= {"use", "touch"}:
        return ACTOR
    return ""


def _of_auxiliary(seen: _Seen) -> str:
    """did jane delete; was jane removed; has ci been used"""
    sentence, following = seen.sentence, seen.following
    if seen.lead in v.AUXILIARIES:
        if following in ("been", "get", "got", "gotten"):
            is_active = following == "been" and sentence.word(seen.after + 1) in ("doing", "up")
            return ACTOR if is_active else OBJECT
        mark = sentence.at(seen.after)
        # did ci fail to read secrets
        acts = seen.deed is not None or (mark is not None and mark.kind in ("access", "result"))
        if acts or following in ("do", "done", "doing", "log", "sign", "have"):
            return ACTOR
        return OBJECT if seen.deeds else ACTOR
    is_denied = any("denied" in mark.value for mark in sentence.included("result"))
    if seen.lead in (*v.BEING, "to") and is_denied and not seen.deeds:
        return ACTOR  # what was ci denied, actions denied to ci
    if seen.lead in v.BEING:
        # was lena ever an admin
        return OBJECT if seen.deeds or sentence.included("result", "role") else ACTOR
    return ""


def _of_owner(seen: _Seen) -> str:
    """jane's sign-ins, jane's role"""
    sentence, end = seen.sentence, seen.mark.end
    while True:
        # jane and sam's changes, jane's and sam's changes
        is_owner = sentence.word(end) == "'s"
        other = _next_joined(sentence, end + is_owner)
        if other is None:
            break
        end = other.end
    if not is_owner:
        return ""
    place = end + 1
    while sentence.word(place) in ("last", "first", "latest", "recent", "most") or (
        (cut := sentence.at(place)) is not None and cut.kind in ("limit", "order")
    ):
        place += 1
    following = sentence.at(place)
    deed = deed_at(sentence, place)
    if deed is not None and deed.name in ("change_password", "reset_password"):
        return OBJECT
    if following is not None and following.kind in ("result", "deed"):
        return OBJECT if _is_failed(sentence) else ACTOR
    return ACTOR if sentence.word(place) in DOINGS or following is None else OBJECT


def _of_exclusion(seen: _Seen) -> str:
    """everyone except ci; -ci"""
    if not seen.mark.excluded or seen.lead in _PLACING:
        return ""
    is_anybody = any(seen.sentence.word(n) in _EVERYBODY for n in range(seen.mark.start))
    return ACTOR if is_anybody else EITHER


def _of_deeds(seen: _Seen) -> str:
    """jane deleted; jane promoted to owner; who invited jane"""
    sentence, deed = seen.sentence, seen.deed
    if seen.lead in _TO and seen.lead != "on":
        return OBJECT
    if seen.lead_deed is None and deed is not None and deed.name in _DONE_TO_PEOPLE:
        others = [each for each in sentence.of("name") if each is not seen.mark]
        if not others and not sentence.included("type"):
            return OBJECT
    acts = seen.following in ("did", "does", "has", "have", "had", "do")
    if acts and seen.lead_deed is None:
        return ACTOR
    if seen.before < 0 and seen.following == "and" and deed_at(sentence, seen.after + 1):
        return ACTOR  # jane and delete
    is_verb = deed is not None and deed.form in ("past", "base", "ing")
    typed = sentence.at(seen.mark.end)
    if is_verb and typed is not None and typed.kind == "type" and seen.after + 1 >= len(sentence):
        return OBJECT  # ci key created
    if is_verb and seen.lead_deed is None and seen.lead not in v.PREPOSITIONS:
        return ACTOR
    return OBJECT if seen.lead_deed is not None and seen.lead_deed.form != "noun" else ""


def _of_preposition(seen: _Seen) -> str:
    """activities of olivia, everything from jane, access denied events for jane"""
    if seen.lead not in ("of", "from", "for"):
        return OBJECT if seen.lead in _WITHIN else ""
    sentence, lead, deeds = seen.sentence, seen.lead, seen.deeds
    governing, word = sentence.at(seen.before - 1), sentence.word(seen.before - 1)
    kind = governing.kind if governing is not None else ""
    if kind == "log":
        return ACTOR
    if kind == "deed":
        is_sign_in = governing is not None and governing.value.name == "sign_in"
        return ACTOR if lead == "from" and not is_sign_in else OBJECT
    if kind in ("permissions", "password", "field", "type"):
        return OBJECT
    if word in DOINGS or word in ("everything", "anything", "all", "those", "that"):
        return OBJECT if _is_failed(sentence) or "sign_in" in deeds else ACTOR
    if sentence.included("result") and not deeds:
        return ACTOR
    return ACTOR if lead == "from" and "sign_in" not in deeds else OBJECT


def _of_nouns(seen: _Seen) -> str:
    """permissions jane; jane sign-ins"""
    sentence = seen.sentence
    if sentence.included("permissions", "password", "field") or _is_failed(sentence):
        return OBJECT
    if any(mark.value.form == "noun" for mark in sentence.included("deed")):
        return OBJECT if seen.after < len(sentence) and seen.deed is None else ACTOR
    return ""


_RULES = (
    _of_lead,
    _of_auxiliary,
    _of_owner,
    _of_exclusion,
    _of_deeds,
    _of_preposition,
    _of_nouns,
)
"""What says who a name is, the surest first."""
_DONE_TO_PEOPLE = frozenset({"promote", "remove", "invite", "add"})


def _is_failed(sentence: Sentence) -> bool:
    """Who fails to sign in is nobody yet; the account that was tried is the resource."""
    names = {m.value.name for m in sentence.included("deed")}
    results = {value for m in sentence.included("result") for value in m.value}
    return "sign_in" in names and bool(results & set(v.FAILURES))


def _joined_to(sentence: Sentence, place: int) -> Mark | None:
    """The name before "and" or "or", whose role is this one's as well."""
    if sentence.word(place) in ("and", "or", "nor", "") and place > 0:
        mark = sentence.at(place - 1)
        if mark is not None and mark.kind == "name" and sentence.word(place) != "":
            return mark
    mark = sentence.at(place)
    if mark is not None and mark.kind == "name" and sentence.tokens[mark.end - 1].ends:
        return mark  # jane, john
    return None
