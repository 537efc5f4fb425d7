"""Reading a question token by token: qualifiers first, then times, then who and from where, and
what is left as one of the forms or, failing that, word by word."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from audit.questions import periods
from audit.questions.bar import phrases
from audit.questions.bar.compilation import Compilation
from audit.questions.bar.tokens import Token
from audit.questions.bar.vocabulary import (
    DO,
    DONE,
    FILLERS,
    INTERFACES,
    KEYWORDS,
    NOUNS,
    PHRASES,
    UNANSWERABLE,
)
from audit.questions.fields import join, suggest
from audit.questions.filters import EntryFilter
from audit.questions.periods import TIMES

_LONGEST_TIME = 4  # words, such as "7 days ago"


def take(made: Compilation, tokens: Sequence[Token]) -> None:
    left = _refuse_clocks(made, _take_times(made, _take_qualifiers(made, tokens)))
    left = _take_origin(made, left)
    if len(left) > 1 and left[0].word in _REQUESTS:
        left = left[2:] if left[1].word in phrases.READER else left[1:]
    reading = phrases.read([(token.value, token.is_quoted) for token in left])
    if reading is None:
        _take_words(made, left)
        return
    for name, values in reading.params.items():
        if name == "q":
            made.words += values
        else:
            made.add(name, [join([value]) for value in values])
    if reading.is_about_reader:
        _add_reader(made)


def _add_reader(made: Compilation, name: str = "actor") -> None:
    if made.reader:
        made.add(name, [made.reader])
    else:
        made.unknown.append("“I” is not known here; name the actor, such as actor:jane")


# -- Qualifiers


def _take_qualifiers(made: Compilation, tokens: Sequence[Token]) -> list[Token]:
    """Understand `name:value` and what a minus leaves out; returns the bare words."""
    left: list[Token] = []
    place = 0
    while place < len(tokens):
        token = tokens[place]
        if token.name:
            place += _take_qualifier(made, tokens[place:])
            continue
        if token.is_excluded:
            made.add("exclude_q", [join(token.values)])
        else:
            left.append(token)
        place += 1
    return left


def _take_qualifier(made: Compilation, tokens: Sequence[Token]) -> int:
    """Returns how many tokens were taken: a time may be several words, and so may `actor: jane`."""
    token = tokens[0]
    name = KEYWORDS.get(token.name)
    if name is None:
        made.unknown.append(f"{token.text}: {suggest(token.name, sorted(KEYWORDS))}")
        return 1
    if token.is_excluded:
        if f"exclude_{name}" not in EntryFilter.base_filters:
            made.unknown.append(f"{token.text}: {name} cannot be excluded")
            return 1
        name = f"exclude_{name}"
    following = _bare(tokens[1:])
    if not token.values and following:
        # The space after the colon is how one writes.
        token, following = following[0], following[1:]
        taken = 2
    elif not token.values:
        made.unknown.append(f"{token.text}: add a value after the colon")
        return 1
    else:
        taken = 1
    if name in TIMES:
        values = ",".join(token.values)
        first = Token(values, "", (values,))
        length = 1 if token.is_quoted else _length_of_time(made, name, [first, *following]) or 1
        made.add(name, [_text([first, *following[: length - 1]])])
        return taken + length - 1
    if name == "q":
        made.words.append(",".join(token.values))
    else:
        made.add(name, [join([value]) for value in token.values])
    return taken


# -- Times


_STARTS = ("since", "after")
_ENDS = ("until", "till", "before")
_DURING = ("in", "on", "during", "within", "over", "at", "for", "of", "from")
_TIME_WORDS = (*_STARTS, *_ENDS, "between")


def _take_times(made: Compilation, tokens: Sequence[Token]) -> list[Token]:
    left: list[Token] = []
    place = 0
    while place < len(tokens):
        taken = _take_time(made, tokens[place:])
        if taken and place + taken < len(tokens) and tokens[place + taken].word == "'s":
            taken += 1  # yesterday's
        if not taken:
            left.append(tokens[place])
        place += taken or 1
    return left


def _refuse_clocks(made: Compilation, tokens: Sequence[Token]) -> list[Token]:
    """Say which times are not understood, which would else be looked for as names."""
    left: list[Token] = []
    for token in tokens:
        if not _CLOCK.fullmatch(token.word):
            left.append(token)
            continue
        if left and left[-1].word in ("at", "around", "about", "on"):
            left.pop()
        made.unknown.append(
            f"{token.value}: give the date as well as the time, such as 2026-11-01T14:30, or"
            " 2026-11-01..2026-11-07"
        )
    return left


def _take_time(made: Compilation, tokens: Sequence[Token]) -> int:
    """Understand the time that begins here; returns of how many tokens it is made."""
    word = tokens[0].word
    if word in ("between", "from") and (taken := _take_span(made, tokens)):
        return taken
    if word in (*_STARTS, *_ENDS):
        name = "since" if word in _STARTS else "until"
        start = _after_article(tokens, 1)
        length = _length_of_time(made, name, tokens[start:])
        if length:
            text = _text(tokens[start : start + length])
            made.add(name, [_beyond(made, word, text)])
            return start + length
        return 0
    start = _after_article(tokens, 1) if word in _DURING else _after_article(tokens, 0)
    length = _length_of_time(made, "when", tokens[start:])
    text = _text(tokens[start : start + length])
    # Alone, a number is rather part of a name than a year, and these are no months.
    is_doubtful = text.isdigit() or text.lower() in ("may", "march")
    if not length or text == "now" or (is_doubtful and word not in ("in", "during")):
        return 0
    made.add("when", [text])
    return start + length


def _take_span(made: Compilation, tokens: Sequence[Token]) -> int:
    """between tuesday and thursday; from 2026-11-01 to 2026-11-07"""
    joints = ("and",) if tokens[0].word == "between" else ("to", "until", "till", "through")
    start = _after_article(tokens, 1)
    first = _length_of_time(made, "since", tokens[start:])
    joint = start + first
    if not first or joint >= len(tokens) or tokens[joint].word not in joints:
        return 0
    end = _after_article(tokens, joint + 1)
    last = _length_of_time(made, "until", tokens[end:])
    if not last:
        return 0
    made.add("since", [_text(tokens[start:joint])])
    made.add("until", [_text(tokens[end : end + last])])
    return end + last


def _beyond(made: Compilation, word: str, text: str) -> str:
    """`text` as `since` and `until` read it; before or after a day means without that day."""
    if word == "before":
        moment = periods.resolve_since(text, made.now, made.zone)
    elif word == "after":
        moment = periods.resolve_until(text, made.now, made.zone)
    else:
        return text
    return moment.astimezone(made.zone).isoformat(timespec="milliseconds")


def _after_article(tokens: Sequence[Token], place: int) -> int:
    return place + 1 if place < len(tokens) and tokens[place].word == "the" else place


def _length_of_time(made: Compilation, name: str, tokens: Sequence[Token]) -> int:
    """How many of the first tokens together are a time; 0 if none are."""
    bare = _bare(tokens[:_LONGEST_TIME])
    for length in range(len(bare), 0, -1):
        if made.resolve(name, _text(bare[:length])) is not None:
            return length
    return 0


def _bare(tokens: Sequence[Token]) -> list[Token]:
    """The tokens up to the first that is quoted, named or left out."""
    bare = []
    for token in tokens:
        if token.name or token.is_quoted or token.is_excluded:
            break
        bare.append(token)
    return bare


def _text(tokens: Sequence[Token]) -> str:
    return " ".join(token.value for token in tokens)


# -- Who, and from where


def _take_origin(made: Compilation, tokens: Sequence[Token]) -> list[Token]:
    left: list[Token] = []
    place = 0
    while place < len(tokens):
        taken = (
            _take_person(made, tokens[place:])
            or _take_address(made, tokens[place:])
            or _take_interface(made, tokens[place:])
        )
        if not taken:
            left.append(tokens[place])
        place += taken or 1
    return left


def _take_person(made: Compilation, tokens: Sequence[Token]) -> int:
    """by jane; not by the API key ci; by jane or john"""
    is_left_out = tokens[0].word in ("not", "except")
    place = 1 if is_left_out else 0
    if place >= len(tokens) or tokens[place].word != "by":
        return 0
    place = _after_article(tokens, place + 1)
    kind = " ".join(token.word for token in tokens[place : place + 2])
    if kind in ("api key", "access token"):
        place += 2
    elif place < len(tokens) and tokens[place].word in ("user", "member", "key"):
        place += 1
    name = "exclude_actor" if is_left_out else "actor"
    people = 0
    while place < len(tokens):
        if tokens[place].word in phrases.READER:
            _add_reader(made, name)
        else:
            made.add(name, [join([tokens[place].value])])
        place += 1
        people += 1
        if place + 1 >= len(tokens) or tokens[place].word not in ("or", "and"):
            break
        if tokens[place + 1].word in DONE:
            break  # another question begins
        place += 1
    return place if people else 0


def _take_address(made: Compilation, tokens: Sequence[Token]) -> int:
    """from 10.0.0.0/8, or the address alone"""
    place = 1 if tokens[0].word == "from" else 0
    if place >= len(tokens) or tokens[place].is_quoted:
        return 0
    try:
        ipaddress.ip_network(tokens[place].value, strict=False)
    except ValueError:
        return 0
    if tokens[place].value.isdigit():
        return 0
    made.add("ip", [tokens[place].value])
    return place + 1


_WAYS = ("via", "through", "over", "using")
_WAYS_ALONE = frozenset({"cli", "command line", "browser", "api", "psql"})
"""What `from` leads to as well: nobody calls a target so, while one may be called web."""


def _take_interface(made: Compilation, tokens: Sequence[Token]) -> int:
    word = tokens[0].word
    if word not in (*_WAYS, "from"):
        return 0
    start = _after_article(tokens, 1)
    for length in (2, 1):
        name = " ".join(token.word for token in tokens[start : start + length])
        if name in INTERFACES and (word in _WAYS or name in _WAYS_ALONE):
            made.add("interface", [INTERFACES[name]])
            return start + length
    return 0


# -- Word by word


_ASKS = frozenset({"who", "what", "when", "which", "where", "how", "did", "was", "were", "has"})
_REQUESTS = frozenset({"show", "list", "find", "give", "display", "tell"})
_SPOKEN = frozenset(
    {word for phrase in (*DO, *DONE, *NOUNS, *UNANSWERABLE) for word in phrase.split()}
    | {"and", "or", "by", "as", "to", "for", "from", "than", "besides", "between", "at", "happened"}
    | {"attempt", "attempts", "attempted", "request", "requests", "more", "less", "changes"}
    | {"ago", "day", "days", "night", "morning", "noon", "afternoon", "evening", "midnight"}
    | {"weekend", "weekends", "week", "weeks", "month", "months", "quarter", "year", "years"}
    | {"hour", "hours", "minute", "minutes", "two", "three", "this", "last", "past", "since"}
)
"""Words of sentences rather than of names: looked for as text, they hardly are what was meant."""
_CLOCK = re.compile(
    r"\d{1,2}(?::\d{2}){1,2}(?:am|pm)?|\d{1,2}(?:am|pm)|\d{1,2}[./]\d{1,2}[./]\d{2,4}"
)
"""A time of day, or a date in an order that differs from place to place."""


def _take_words(made: Compilation, tokens: Sequence[Token]) -> None:
    text = " ".join(token.text for token in tokens)
    hint = next((UNANSWERABLE[token.word] for token in tokens if token.word in UNANSWERABLE), None)
    joints = [n for n, token in enumerate(tokens) if token.word == "or"]
    if not hint and any(not _joins(tokens, place) for place in joints):
        hint = "separate alternatives with commas, such as action:create,delete"
    if hint:
        # Read without that word, it would be another question.
        made.unknown.append(f"{text}: {hint}")
        return
    before = len(made.words)
    place = 0
    while place < len(tokens):
        place += _take_word(made, tokens, place)
    names = made.words[before:]
    is_spoken = any(token.word in _SPOKEN and token.value in names for token in tokens)
    if is_spoken or (names and tokens[0].word in _ASKS):
        made.unknown.append(
            f"{text}: not a known form of question; names were searched for {' '.join(names)}"
        )


def _take_word(made: Compilation, tokens: Sequence[Token], place: int) -> int:
    token = tokens[place]
    if phrase := _phrase(tokens[place:]):
        for name, values in PHRASES[phrase].items():
            made.add(name, values)
        return phrase.count(" ") + 1
    if token.word in ("or", "and") and _joins(tokens, place):
        return 1
    if token.word in _TIME_WORDS and place + 1 < len(tokens):
        following = tokens[place + 1].value
        made.unknown.append(f"{token.value} {following}: try {periods.EXAMPLES}")
        return 2
    if token.is_quoted or token.word not in (*FILLERS, "'s"):
        made.words.append(token.value)
    return 1


def _joins(tokens: Sequence[Token], place: int) -> bool:
    """Whether the words on both sides have one meaning each, such as "created or deleted"."""
    ends = _phrase(tokens[place - 1 : place]) or _phrase(tokens[max(place - 2, 0) : place])
    return bool(ends and _phrase(tokens[place + 1 :]))


def _phrase(tokens: Sequence[Token]) -> str:
    """The words with one meaning that stand first, if any do."""
    for length in (2, 1):
        phrase = " ".join(token.word for token in _bare(tokens[:length]))
        if phrase in PHRASES:
            return phrase
    return ""
