"""Finding the words that mean something: deeds, types, results, ways, names, counts, and what is
not to be in the answer. Each is marked wherever it stands; `meaning` puts them together."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping

from audit.questions.bar import vocabulary as v
from audit.questions.bar.names import Known, nearest
from audit.questions.bar.question import Offer
from audit.questions.bar.sentence import Sentence
from audit.questions.bar.tokens import DASHES, as_network, quoted, word_set
from audit.questions.fields import LONGEST_TEXT
from audit.questions.filters import EntryFilter
from organizations import ulid

LONGEST_PHRASE = 4

Kinds = Mapping[str, tuple[str, object]]


def _lexicon() -> dict[str, tuple[str, object]]:
    """What each phrase is, the surest last."""
    found: dict[str, tuple[str, object]] = {}
    # Of an action, the column of entries is meant.
    found |= {word: ("field", fields) for word, fields in v.FIELDS.items() if word != "action"}
    found |= {word: ("severity", value) for word, value in v.SEVERITIES.items()}
    found |= {word: ("role", role) for word, role in v.ROLES.items()}
    found |= {word: ("actor_kind", v.ACTOR_KINDS[word]) for word in v.SURE_ACTOR_KINDS}
    found |= {word: ("interface", v.INTERFACES[word]) for word in v.SURE_INTERFACES}
    found |= {word: ("type", types) for word, types in v.TYPES.items()}
    found |= {word: ("person", word) for word in v.PEOPLE}
    found |= dict.fromkeys(v.LOG, ("log", ("audit_log",)))
    found |= {word: ("permissions", word) for word in v.PERMISSIONS if word != "access"}
    found |= {word: ("deed", deed) for word, deed in v.DEEDS.items()}
    found |= {word: ("result", values) for word, values in v.RESULTS.items()}
    found |= dict.fromkeys(v.TRIED, ("tried", None))
    found |= {word: ("group", name) for word, name in v.GROUPS.items()}
    found |= {word: ("reason", params) for word, params in v.REASONS.items()}
    found |= {word: ("unanswerable", why) for word, why in v.UNANSWERABLE.items()}
    found |= dict.fromkeys(("access", "accesses"), ("access", None))
    found |= dict.fromkeys(("password", "passwords"), ("password", None))
    found |= dict.fromkeys(("new", "brand new", "brand-new"), ("new", None))
    found |= dict.fromkeys(
        ("used for the first time", "first used", "first usage"),
        ("deed", v.Deed("first_use", "past")),
    )
    found |= dict.fromkeys(("became", "becomes", "become"), ("deed", v.Deed("promote", "past")))
    found |= dict.fromkeys(("reset", "resets", "resetting"), ("reset", None))
    for form in ("address", "addresses", "ip address", "ip addresses", "ip", "ips", "location",
                 "locations"):  # fmt: skip
        found[f"new {form}"] = found[f"unknown {form}"] = ("deed", v.Deed("new_address", "noun"))
    return found


LEXICON: Kinds = _lexicon()


def find(sentence: Sentence) -> None:
    """Mark what is written as a qualifier or as an id, what is counted, and every word known."""
    _find_excluded(sentence)
    _find_ids(sentence)
    _find_counts(sentence)
    _find_limits(sentence)
    _find_ways(sentence)
    _find_phrases(sentence)
    _drop_included(sentence)
    _find_addresses(sentence)
    _strike_dashes(sentence)


def _strike_dashes(sentence: Sentence) -> None:
    """reads - ci: may be without ci, or reads, and that by ci."""
    for place in range(1, len(sentence) - 1):
        if sentence.word(place) in DASHES and sentence.is_free(place):
            following = sentence.tokens[place + 1].text
            why = f"To leave something out, write the minus at the word: -{following}"
            end = place + 2 if sentence.word(place) == "-" else place + 1
            sentence.strike(place, end, why, negation=True)


# -- Qualifiers of one word, ids, addresses


def _find_excluded(sentence: Sentence) -> None:
    """-word leaves out whatever `word` means."""
    for place, token in enumerate(sentence.tokens):
        word = token.value.lower()
        is_non = token.word.startswith("non-") and len(word) > 4
        if not (token.is_excluded or is_non) or token.name:
            continue
        word = word.removeprefix("non-") if is_non else word
        if token.is_quoted:
            mark = sentence.mark(place, place + 1, "name", None)
        elif (network := as_network(token.value)) is not None:
            mark = sentence.mark(place, place + 1, "ip", str(network))
        elif word in v.INTERFACES and word not in LEXICON:
            mark = sentence.mark(place, place + 1, "interface", v.INTERFACES[word])
        elif word in v.TYPES:
            mark = sentence.mark(place, place + 1, "type", v.TYPES[word])
        elif word in v.PEOPLE:
            mark = sentence.mark(place, place + 1, "actor_kind", "user")
        elif word in LEXICON and LEXICON[word][0] in _EXCLUDABLE:
            mark = sentence.mark(place, place + 1, *LEXICON[word])
        else:
            mark = sentence.mark(place, place + 1, "name", None)
        mark.excluded = True


_EXCLUDABLE = {
    "deed": "action",
    "group": "action",
    "type": "type",
    "log": "type",
    "result": "result",
    "interface": "interface",
    "actor_kind": "actor_type",
    "role": "actor_role",
    "severity": "severity",
    "field": "field",
    "ip": "ip",
    "agent": "user_agent",
    "reason": "reason",
    "hours": "hours",
    "days": "days",
    "person": "actor_type",
    "name": "",
    "reader": "actor",
    "access": "action",
}
"""The kinds of marks that may be left out, and as which parameter."""


def can_be_excluded(kind: str) -> bool:
    if kind not in _EXCLUDABLE:
        return False
    parameter = _EXCLUDABLE[kind]
    return not parameter or f"exclude_{parameter}" in EntryFilter.base_filters


_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ID_IN_ADDRESS = re.compile(r"^https?://\S+/([0-7][0-9A-Z]{25})(?:[/?#]|$)", re.IGNORECASE)
_FINGERPRINT = re.compile(r"(?:sha256:)?[0-9a-f]{12,64}", re.IGNORECASE)


def _find_ids(sentence: Sentence) -> None:
    for place in range(len(sentence)):
        token = sentence.tokens[place]
        if token.name or token.is_excluded or not sentence.is_free(place):
            continue
        value = token.value
        if in_address := _ID_IN_ADDRESS.search(value):
            value = in_address[1]  # the page of an entry
        if _UUID.fullmatch(value):
            value = ulid.to_text(uuid.UUID(value))
        if ulid.parse_or_none(value) is not None and len(value) >= 26:
            sentence.mark(place, place + 1, "id", value.upper())
        elif not token.is_quoted and _FINGERPRINT.fullmatch(value) and re.search(r"\d", value):
            sentence.mark(place, place + 1, "id", value.lower())


def _find_addresses(sentence: Sentence) -> None:
    for place in range(len(sentence)):
        token = sentence.tokens[place]
        if token.name or token.is_quoted or not sentence.is_free(place):
            continue
        network = as_network(token.value)
        if network is None:
            if re.fullmatch(r"\d{1,3}(\.\d{1,3}){1,2}\.?\*?", token.value):
                parts = re.findall(r"\d+", token.value)
                whole = ".".join([*parts, "0", "0", "0"][:4]) + f"/{8 * len(parts)}"
                sentence.strike(
                    place,
                    place + 1,
                    "This is not a whole address or network.",
                    [offer(sentence, place, place + 1, whole)],
                )
            continue
        start = place
        while sentence.word(start - 1) in ("ip", "address", "source", "the", "network") and (
            sentence.is_free(start - 1)
        ):
            start -= 1
        sentence.mark(start, place + 1, "ip", token.value)


# -- Phrases


_REQUESTS = word_set(
    """
    show list find give display tell fetch get pull export download look view see track
    identify determine summarize summarise count report
    """
)


def _find_phrases(sentence: Sentence) -> None:
    place = _skip_request(sentence)
    while place < len(sentence):
        if sentence.is_free(place):
            place += _take_phrase(sentence, place)
        else:
            place += 1


_POLITE = word_set(
    """
    please can could would will you we i i'd i'm we'd want need like to kindly hey hi hello
    let's let us me how do trying
    """
)


def _skip_request(sentence: Sentence) -> int:
    """ "export all failed sign-ins" asks for these; "exports by jane" are what was done."""
    place = 0
    while sentence.is_free(place) and sentence.word(place) in _POLITE:
        place += 1
    if (
        sentence.word(place) not in _REQUESTS
        or len(sentence) < place + 2
        or not sentence.is_free(place)
    ):
        return 0
    following = sentence.word(place + 1)
    if following in v.PREPOSITIONS - {"at", "into", "for"} or following in v.BEING:
        return 0
    sentence.fill(0, place + 1)
    if sentence.word(place) == "count":
        sentence.settings["is_count"] = True
    return place + 1


def _take_phrase(sentence: Sentence, place: int) -> int:
    for length in range(LONGEST_PHRASE, 0, -1):
        phrase = sentence.phrase(place, length)
        found = LEXICON.get(phrase) if phrase else None
        if found is None or is_the_log(sentence, place, phrase):
            continue
        kind, value = found
        if kind == "unanswerable":
            sentence.strike(place, place + length, str(value))
        else:
            sentence.mark(place, place + length, kind, value)
        return length
    return 1


def is_the_log(sentence: Sentence, place: int, phrase: str) -> bool:
    """Whether "log on" is the log, on a day, rather than logging on."""
    return phrase.startswith("log ") and sentence.word(place - 1) in (v.ARTICLES | {"audit"})


def _drop_included(sentence: Sentence) -> None:
    """Everything, including deletions: that narrows nothing."""
    for place in range(len(sentence)):
        following = sentence.at(place + 1)
        if sentence.word(place) in ("including", "incl") and following in sentence.marks:
            assert following is not None
            if following.excluded:
                continue  # including -jane: she is left out
            sentence.drop(following)
            sentence.fill(place, following.end)


# -- By which way, with which program


_WAYS = ("via", "through", "over", "using", "with", "by", "from", "in", "on")
_PROGRAMS = word_set(
    """
    curl wget firefox chrome safari edge opera postman terraform python-requests httpx python
    axios okhttp
    """
)


def _find_ways(sentence: Sentence) -> None:
    place = 0
    while place < len(sentence):
        place += _take_way(sentence, place) or 1


def _take_way(sentence: Sentence, place: int) -> int:
    if sentence.word(place) not in _WAYS or not sentence.is_free(place):
        return 0
    way = sentence.word(place)
    start = place + 1
    while sentence.word(start) in ("the", "our", "a"):
        start += 1
    kind = sentence.phrase(start, 2) or sentence.word(start)
    kind = kind if kind in v.ACTOR_KINDS else sentence.word(start)
    if way == "by" and kind in v.ACTOR_KINDS and kind not in v.TYPES and kind not in v.PEOPLE:
        end = start + kind.count(" ") + 1
        sentence.mark(start, end, "actor_kind", v.ACTOR_KINDS[kind])
        return end - place
    for length in (3, 2, 1):
        phrase = sentence.phrase(start, length)
        if phrase not in v.INTERFACES or sentence.phrase(start, length + 1) in LEXICON:
            continue
        is_sure = phrase in v.SURE_INTERFACES or " " in phrase
        if not is_sure and way in ("with", "on", "by"):
            continue
        if not is_sure and way in ("in", "from") and _is_thing(sentence, start, phrase, way):
            continue
        sentence.mark(place, start + length, "interface", v.INTERFACES[phrase])
        return _take_other_ways(sentence, start + length) - place
    return 0


def _take_other_ways(sentence: Sentence, place: int) -> int:
    """via the api or the web: where the last of them ends"""
    while sentence.word(place) in ("or", "and") and sentence.is_free(place):
        start = place + 1 + (sentence.word(place + 1) == "the")
        length = next((n for n in (3, 2, 1) if sentence.phrase(start, n) in v.INTERFACES), 0)
        if not length:
            break
        way = v.INTERFACES[sentence.phrase(start, length)]
        sentence.mark(start, start + length, "interface", way)
        place = start + length
    return place


def _is_thing(sentence: Sentence, place: int, phrase: str, way: str) -> bool:
    """Whether `phrase` names something in this log: a target may well be called web."""
    token = sentence.tokens[place]
    if way == "in":
        return True
    return bool(phrase not in ("api",) and sentence.log.known([token.value]))


# -- Counting and cutting


def _counted_at(sentence: Sentence, place: int) -> tuple[int, str, str]:
    """What is counted by the words from `place` on: how many words, the grouping, the words."""
    for length in (4, 3, 2, 1):
        phrase = sentence.phrase(place, length)
        if phrase in v.COUNTED_BY:
            return length, v.COUNTED_BY[phrase], phrase
    return 0, "", ""


def _set_by(sentence: Sentence, start: int, end: int, by: str) -> None:
    known = sentence.of("by")
    if not known:
        sentence.mark(start, end, "by", by)
    elif known[0].value == by or sentence.settings.get("is_ranked"):
        sentence.fill(start, end)
    else:
        sentence.strike(start, end, "Entries are counted by one thing at a time.")


_PER = frozenset({"per", "each"})
_GROUPING = frozenset(
    {"grouped by", "group by", "broken down by", "split by", "counted by", "sorted by", "for each"}
    | {"by each", "count by", "per each", "ranked by", "by every", "from each"}
)
_SINGULAR = word_set("user member person account actor key") | {"api key"}
_NUMBER = re.compile(r"\d{1,6}")
_NUMBERS = {
    word: n
    for n, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    )
} | {"twenty": 20, "hundred": 100, "once": 1, "twice": 2, "dozen": 12}


def _number(word: str) -> int | None:
    return int(word) if _NUMBER.fullmatch(word) else _NUMBERS.get(word)


def _find_counts(sentence: Sentence) -> None:
    place = 0
    while place < len(sentence):
        if sentence.is_free(place) and sentence.word(place):
            place += (
                _take_how_many(sentence, place)
                or _take_top(sentence, place)
                or _take_grouping(sentence, place)
                or _take_threshold(sentence, place)
                or 1
            )
        else:
            place += 1
    _take_most(sentence)


def _take_how_many(sentence: Sentence, place: int) -> int:
    for phrase in ("how many times", "how many", "how often", "the number of", "number of",
                   "total number of", "count of", "how much"):  # fmt: skip
        length = phrase.count(" ") + 1
        if sentence.phrase(place, length) != phrase:
            continue
        sentence.settings["is_count"] = True
        sentence.fill(place, place + length)
        start = place + length
        if sentence.word(start) in ("different", "distinct", "unique"):
            sentence.fill(start, start + 1)
            start += 1
            taken, by, _ = _counted_at(sentence, start)
            if taken:
                _set_by(sentence, start, start + taken, by)
                return start + taken - place
        taken, by, words = _counted_at(sentence, start)
        if by in ("ip", "user_agent") and taken:
            _set_by(sentence, start, start + taken, by)
            return start + taken - place
        if (
            by == "actor"
            and words in ("people", "users", "members")
            and (
                sentence.word(start + taken) in ("did", "have", "has", "who", "that")
                or _is_deed(sentence, start + taken)
            )
        ):
            _set_by(sentence, start, start + taken, by)
            return start + taken - place
        return length
    return 0


def _is_deed(sentence: Sentence, place: int) -> bool:
    return any(
        LEXICON.get(sentence.phrase(place, length), ("", None))[0] == "deed" for length in (2, 1)
    )


def _take_top(sentence: Sentence, place: int) -> int:
    """top 10 users, top denied actions"""
    if sentence.word(place) != "top":
        return 0
    sentence.settings["is_ranked"] = True
    end = place + 1
    number = _number(sentence.word(end))
    if number:
        sentence.mark(place, end + 1, "limit", number)
        end += 1
    else:
        sentence.fill(place, end)
    taken, by, words = _counted_at(sentence, end)
    if taken and words not in ("secrets", "environments", "targets"):
        _set_by(sentence, end, end + taken, by)
        return end + taken - place
    return end - place


def _take_grouping(sentence: Sentence, place: int) -> int:
    """per day, by each member, by user, which programs"""
    word = sentence.word(place)
    if taken := _take_periodic(sentence, place):
        return taken
    if sentence.phrase(place, 2) in ("over time", "day by day"):
        _set_by(sentence, place, place + 2, "day")
        return 2
    if word in ("versus", "vs", "compared", "compare"):
        _set_by(sentence, place, place + 1, "action")
        sentence.settings["is_comparison"] = True
        return 1
    if sentence.phrase(place, 2) == "from where":
        _set_by(sentence, place, place + 2, "ip")
        return 2
    if word in ("unique", "distinct", "different", "rank", "ranking"):
        start = place + 1 + (sentence.word(place + 1) == "of")
        taken, by, words = _counted_at(sentence, start)
        if taken and words.endswith(("s", "people")):
            _set_by(sentence, place, start + taken, by)
            if word.startswith("rank") and sentence.word(start + taken) == "by":
                taken += 1  # by deletions: these are what is counted
                sentence.fill(start + taken - 1, start + taken)
            return start + taken - place
    if all(not sentence.is_free(n) or sentence.word(n) in v.FILLERS for n in range(place)):
        taken, by, words = _counted_at(sentence, place)
        if (
            by in ("ip", "user_agent")
            and words.endswith("s")
            and not _is_name(sentence, place + taken)
        ):
            _set_by(sentence, place, place + taken, by)
            return taken
    length = next((n for n in (3, 2) if sentence.phrase(place, n) in _GROUPING), 0)
    is_each = bool(length) or word in _PER
    if not length and word in (*_PER, "by"):
        length = 1
    if length:
        start = place + length
        if (
            sentence.word(start) in ("the", "type", "source")
            and sentence.phrase(start, 2) not in v.COUNTED_BY
            and (sentence.word(start) == "the" or _counted_at(sentence, start + 1)[0])
        ):
            start += 1
        taken, by, words = _counted_at(sentence, start)
        is_name_next = _is_name(sentence, start + taken)
        is_kind = words in v.ACTOR_KINDS and words not in _SINGULAR
        if (
            taken
            and not is_name_next
            and (is_each or words in _SINGULAR or by != "actor" or not is_kind)
        ):
            if (
                by == "actor"
                and words in ("people", "users", "members", "whom", "who")
                and not is_each
            ):
                return 0
            _set_by(sentence, place, start + taken, by)
            return start + taken - place
        return 0
    return _take_which(sentence, place)


def _take_periodic(sentence: Sentence, place: int) -> int:
    """daily, busiest hour, per-user"""
    word = sentence.word(place)
    if word.startswith("per-") and word[4:] in v.COUNTED_BY:
        _set_by(sentence, place, place + 1, v.COUNTED_BY[word[4:]])
        return 1
    for phrase in (word, sentence.phrase(place, 2)):
        if phrase in v.PERIODIC:
            length = phrase.count(" ") + 1
            _set_by(sentence, place, place + length, v.PERIODIC[phrase])
            return length
    return 0


_ASKING_WHICH = (
    *("list of", "list of all", "summarize", "summarise", "from which", "which", "what"),
    *("from what", "with which", "by which"),
)


def _take_which(sentence: Sentence, place: int) -> int:
    """which programs, from which addresses, a list of users that, which accounts were tried"""
    for phrase in _ASKING_WHICH:
        length = phrase.count(" ") + 1
        if sentence.phrase(place, length) != phrase:
            continue
        start = place + length
        if sentence.word(start) in ("different", "the", "all", "kinds", "kind"):
            start += 1
        taken, by, words = _counted_at(sentence, start)
        following = start + taken
        if not taken:
            continue
        is_plural = words.endswith("s") or words in ("people", "who")
        if by == "actor":
            if phrase.startswith(("list", "summar")) and (
                sentence.word(following) in ("that", "who", "which", "using", "accessed", "with")
                or words == "who"
            ):
                _set_by(sentence, place, following, by)
                return following - place
            if sentence.phrase(following, 2) in ("were tried", "were attacked", "were targeted",
                                                 "were attempted"):  # fmt: skip
                _set_by(sentence, place, following + 2, "resource")
                return following + 2 - place
            continue
        is_way = phrase.endswith(" which") and by in ("ip", "user_agent", "interface")
        if is_way or (by in ("ip", "user_agent", "action", "hour", "day") and is_plural):
            if by == "action" and words in ("actions", "operations") and phrase == "what":
                continue
            if by in ("hour", "day") and words in ("hours", "days") and phrase == "list of":
                continue
            _set_by(sentence, place, following, by)
            return following - place
    return 0


def _is_name(sentence: Sentence, place: int) -> bool:
    token = sentence.tokens[place] if place < len(sentence) else None
    if token is None or token.name or not token.value:
        return False
    return token.is_quoted or bool(
        token.word not in v.FILLERS and sentence.log.known([token.value])
    )


_THRESHOLDS = (
    (re.compile(r"more than|over|above|exceeding|greater than"), 1),
    (re.compile(r"at least|minimum of|no less than|no fewer than"), 0),
)


def _take_threshold(sentence: Sentence, place: int) -> int:
    """more than 5, at least three times, 5 or more, >10"""
    for pattern, more in _THRESHOLDS:
        for length in (3, 2, 1):
            if not pattern.fullmatch(sentence.phrase(place, length) or " "):
                continue
            number = _number(sentence.word(place + length))
            if number is None:
                return 0
            end = place + length + 1
            if struck := _strike_different(sentence, place, end):
                return struck - place
            end += sentence.word(end) in ("times", "time")
            sentence.mark(place, end, "at_least", number + more)
            return end - place
    written = re.fullmatch(r"(>=?|≥)(\d{1,6})", sentence.word(place))
    if written:
        sentence.mark(place, place + 1, "at_least", int(written[2]) + (written[1] == ">"))
        return 1
    number = _number(sentence.word(place))
    if number is not None and sentence.phrase(place + 1, 2) in ("or more", "and more", "and up"):
        end = place + 3 + (sentence.word(place + 3) == "times")
        sentence.mark(place, end, "at_least", number)
        return end - place
    if sentence.word(place) in ("repeated", "repeatedly", "multiple"):
        if struck := _strike_different(sentence, place, place + 1):
            return struck - place
        sentence.mark(place, place + 1, "at_least", 2)
        return 1
    return 0


def _asks_who(sentence: Sentence, place: int) -> bool:
    """who, which key read"""
    for n in range(place):
        if sentence.word(n) in ("who", "whom", "whose"):
            return True
        if sentence.word(n) in ("which", "what"):
            taken, by, _ = _counted_at(sentence, n + 1)
            return by == "actor" and _is_deed(sentence, n + 1 + taken)
    return False


def _strike_different(sentence: Sentence, place: int, end: int) -> int:
    """by more than one person, from multiple addresses: how many of them there are"""
    taken, by, _ = _counted_at(sentence, end)
    if by not in ("actor", "ip", "user_agent") or sentence.word(place - 1) not in ("by", "from"):
        return 0
    why = "Entries do not say how many different ones there are. Count by one, such as per user."
    sentence.strike(place - 1, end + taken, why)
    return end + taken


def _take_most(sentence: Sentence) -> None:
    """who … most, the most active users, most common actions"""
    for place in range(len(sentence)):
        if sentence.word(place) not in ("most", "busiest") or not sentence.is_free(place):
            continue
        following = sentence.word(place + 1)
        if following in ("recent", "recently"):
            continue  # which come first, not how often
        end = place + 1
        if following in ("active", "often", "frequent", "frequently", "common", "used", "commonly",
                         "busy"):  # fmt: skip
            end += 1
        sentence.settings["is_ranked"] = True
        taken, by, _ = _counted_at(sentence, end)
        after, by_after, _ = _counted_at(sentence, end + 1)
        asking = {sentence.word(n) for n in range(place)}
        if "when" in asking and not sentence.of("by"):
            sentence.mark(place, end, "by", "hour")  # when is ci most active
        elif _asks_who(sentence, place) and not sentence.of("by"):
            sentence.mark(place, end, "by", "actor")  # who reads the most secrets
        elif not taken and after and _is_deed(sentence, end):
            _set_by(sentence, place, end, by_after)  # the most changed project
        elif taken:
            _set_by(sentence, place, end + taken, by)
        elif not sentence.of("by"):
            named = [v.COUNTED_BY.get(sentence.word(n), "") for n in range(place)]
            sentence.mark(place, end, "by", next(filter(None, named), "actor"))
        else:
            sentence.fill(place, end)


_UNITS = frozenset({"day", "days", "week", "weeks", "month", "months", "quarter", "hour", "half"})
_NEWEST = ("last", "latest", "newest", "recent")
_OLDEST = ("first", "oldest", "earliest")


def _find_limits(sentence: Sentence) -> None:
    """last 5, 25 most recent, first ten, the oldest entries"""
    for place in range(len(sentence)):
        word = sentence.word(place)
        if not word or not sentence.is_free(place):
            continue
        number = _number(word)
        if number and sentence.phrase(place + 1, 2) == "most recent":
            sentence.mark(place, place + 3, "limit", number)
        elif number and sentence.word(place + 1) in (*_NEWEST, *_OLDEST):
            _limit(sentence, place, place + 2, number, sentence.word(place + 1))
        elif sentence.phrase(place, 2) == "most recent":
            number = _number(sentence.word(place + 2))
            if number:
                sentence.mark(place, place + 3, "limit", number)
            else:
                sentence.fill(place, place + 2)
        elif word in (*_NEWEST, *_OLDEST):
            number = _number(sentence.word(place + 1)) if sentence.is_free(place + 1) else None
            if number:
                _limit(sentence, place, place + 2, number, word)
            elif word in _OLDEST and sentence.word(place + 1) in _UNITS:
                continue  # the first week of november
            elif word in _OLDEST and sentence.phrase(place, 2) not in LEXICON:
                sentence.mark(place, place + 1, "order", "oldest")
            elif word in _NEWEST:
                sentence.fill(place, place + 1)


def _limit(sentence: Sentence, start: int, end: int, number: int, word: str) -> None:
    sentence.mark(start, end, "limit", number)
    if word in _OLDEST:
        sentence.settings["order"] = "oldest"


# -- Names


def find_names(sentence: Sentence) -> None:
    """Take for names what this log knows as such; two words in a row may be a path."""
    candidates: dict[tuple[int, int], str] = {}
    spellings: list[str] = []  # data warehouse is data-warehouse
    for start, end in sentence.free_runs():
        for first in range(start, end):
            for past in range(first + 1, min(end, first + 3) + 1):
                text = " ".join(sentence.tokens[n].value for n in range(first, past))
                if (
                    len(text) <= LONGEST_TEXT
                    and "\x00" not in text
                    and any(_may_be_name(sentence, n) for n in range(first, past))
                ):
                    candidates[first, past] = text
                    if past - first > 1 and "/" not in text:
                        spellings.append(text.replace(" ", "-"))
    for mark in sentence.of("name"):
        value = sentence.tokens[mark.start].value
        is_non = value.lower().startswith("non-") and not sentence.tokens[mark.start].is_excluded
        candidates[mark.start, mark.end] = value[4:] if is_non else value
    if not candidates:
        _find_ways_before_nouns(sentence)
        return
    known = sentence.log.known(list(dict.fromkeys([*candidates.values(), *spellings])))
    for mark in sentence.of("name"):
        text = candidates[mark.start, mark.end]
        mark.value = known.get(text) or Known(text, text)
    place = 0
    while place < len(sentence):
        place += _take_name(sentence, place, candidates, known) if sentence.is_free(place) else 1
    _find_ways_before_nouns(sentence)


def _find_ways_before_nouns(sentence: Sentence) -> None:
    """API changes, database activity: where nothing is called so."""
    for place in range(len(sentence)):
        word = sentence.word(place)
        if not sentence.is_free(place) or word not in (*v.INTERFACES, "system"):
            continue
        following = sentence.at(place + 1)
        is_noun = following is not None and following.kind in ("deed", "group", "result", "access")
        if is_noun or sentence.word(place + 1) in (
            "activity",
            "events",
            "actions",
            "requests",
            "calls",
        ):
            if word == "system":
                sentence.mark(place, place + 1, "actor_kind", word)
            else:
                sentence.mark(place, place + 1, "interface", v.INTERFACES[word])


def _may_be_name(sentence: Sentence, place: int) -> bool:
    token = sentence.tokens[place]
    return token.is_quoted or (
        bool(token.word)
        and token.word not in v.FILLERS
        and token.word not in v.NEGATORS
        and token.word not in v.PREPOSITIONS
    )


def _take_name(
    sentence: Sentence,
    place: int,
    candidates: Mapping[tuple[int, int], str],
    known: Mapping[str, Known],
) -> int:
    for length in (3, 2, 1):
        text = candidates.get((place, place + length))
        if text is None:
            continue
        is_quoted = length == 1 and sentence.tokens[place].is_quoted
        found = known.get(text) or known.get(text.replace(" ", "-"))
        if found is None and is_quoted:
            found = Known(text, text)
        if found is None or (length == 1 and not _may_be_name(sentence, place)):
            continue
        sentence.mark(place, place + length, "name", found)
        return length
    return 1


def find_programs(sentence: Sentence) -> None:
    """What is no name may be a program: python-requests."""
    for place in range(len(sentence)):
        token = sentence.tokens[place]
        if not sentence.is_free(place) or token.is_quoted or not _may_be_name(sentence, place):
            continue
        word = token.word
        if len(word) < 3 or word in v.PEOPLE:
            continue
        is_said = sentence.word(place - 1) in ("by", "with", "using", "from", "via", "program", "")
        looks_so = "/" in word or "-" in word or word in _PROGRAMS or (is_said and place > 0)
        if (looks_so or len(sentence) <= 2) and (
            word in _PROGRAMS or sentence.log.has_program(token.value)
        ):
            start = place
            if sentence.word(place - 1) in ("by", "with", "using", "from", "via"):
                start -= 1
            sentence.mark(start, place + 1, "agent", token.value)
            sentence.notes.append(f"{token.value} is looked for in user agents.")


# -- What is left


def strike_rest(sentence: Sentence) -> None:
    """Strike out what was not understood, with what stands before it to lead to it; drop what says
    nothing."""
    for start, end in list(sentence.free_runs()):
        place = start
        while place < end:
            if not sentence.is_free(place) or not _means_something(sentence, place):
                place += 1
                continue
            past = place + 1
            while past < end and (
                _means_something(sentence, past)
                or (_is_small(sentence, past) and _means_something(sentence, past + 1))
            ):
                past += 1
            first = place
            while (
                first > start
                and sentence.is_free(first - 1)
                and sentence.word(first - 1) in (v.PREPOSITIONS | v.ARTICLES)
            ):
                first -= 1
            sentence.strike(first, past, *_explain(sentence, place, past))
            place = past


def _is_small(sentence: Sentence, place: int) -> bool:
    return sentence.word(place) in (v.PREPOSITIONS | v.ARTICLES)


def _means_something(sentence: Sentence, place: int) -> bool:
    if not sentence.is_free(place) or sentence.tokens[place].name:
        return False
    token = sentence.tokens[place]
    if token.is_quoted:
        return True
    word = token.word
    return bool(re.search(r"\w", word)) and (
        word not in v.FILLERS and word not in v.PREPOSITIONS and word not in v.ARTICLES
    )


def _explain(sentence: Sentence, start: int, end: int) -> tuple[str, list[Offer]]:
    words = sentence.words_of(start, end).strip("?!,;. ")
    offers = []
    for place in range(start, end):
        word = sentence.word(place)
        if meant := meant_by(sentence, word):
            offers.append(
                Offer(replaced(sentence, place, place + 1, meant), f"Did you mean {meant}?")
            )
    if not offers and end - start <= 4:
        offers.append(
            offer(
                sentence, start, end, quoted(words) if " " in words else f'"{words}"', "In names: "
            )
        )
    clock = re.fullmatch(r"\d{1,2}/\d{1,2}/\d{2,4}|\d{1,2}\.\d{1,2}\.\d{2}", words)
    if clock:
        return "This date reads differently from place to place. Write it like 2026-11-01.", []
    return f"No name in this log is {words!r}, and it is not a word of a question.", offers


_LANGUAGE = frozenset(word for word in v.language() if len(word) > 3)


def meant_by(sentence: Sentence, word: str) -> str:
    """The word or the name that was probably meant by one that is neither."""
    if (len(word) < 4 and word not in _SHORT) or word in _LANGUAGE | _NO_SLIPS:
        return ""
    if "/" in word or "@" in word:
        return _path_meant_by(sentence, word)
    whole = _SHORT.get(word, "")
    if whole and sentence.log.known([whole]) and not sentence.log.known([word]):
        return whole
    meant = nearest(word, _LANGUAGE) or sentence.log.similar(word)
    return "" if meant == word else meant


_NO_SLIPS = word_set("force forced")
"""Words that are close to one of the language, and are written as they are meant."""
_SHORT = {
    **dict.fromkeys(("prod", "prd"), "production"),
    **dict.fromkeys(("stage", "stg"), "staging"),
    "dev": "development",
}


def _path_meant_by(sentence: Sentence, path: str) -> str:
    """storefront/backend, for storefrnt/backend; dev@laptop, for dev@lapotp"""
    parts = re.split("([/@])", path.strip("/"))
    known = sentence.log.known(parts[::2])
    parts[::2] = [part if part in known else sentence.log.similar(part) for part in parts[::2]]
    meant = "".join(parts)
    if meant == path or not all(parts):
        return ""
    is_one = sentence.log.is_path(meant) if "/" in meant else sentence.log.known([meant])
    return meant if is_one else ""


def replaced(sentence: Sentence, start: int, end: int, by: str) -> str:
    """The question with other words in that place."""
    first, last = sentence.tokens[start], sentence.tokens[end - 1]
    tail = sentence.text[first.start : last.end]
    mark = tail[len(tail.rstrip("?!,;.")) :]
    if sentence.word(end) == "'s" and sentence.tokens[end].start == last.end:
        mark = f"'s{mark}"
    return f"{sentence.text[: first.start]}{by}{mark}{sentence.text[last.end :]}"


def offer(sentence: Sentence, start: int, end: int, by: str, label: str = "") -> Offer:
    return Offer(replaced(sentence, start, end, by), f"{label}{by}")
