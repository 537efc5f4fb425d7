"""What is not to be in the answer.

A negation either leaves something out, as "except by ci" does, or its words are struck out: a
filter that says the opposite of what was asked is never made.
"""

from __future__ import annotations

from audit.questions.bar import vocabulary as v
from audit.questions.bar.question import Offer
from audit.questions.bar.sentence import Mark, Sentence
from audit.questions.bar.tokens import word_set
from audit.questions.bar.words import can_be_excluded

_SKIPPED = (
    v.ARTICLES
    | v.PREPOSITIONS
    | {
        *("anything", "anyone", "those", "ones", "done", "made", "activity", "events", "actions"),
        *(
            "entries",
            "coming",
            "came",
            "come",
            "performed",
            "user",
            "users",
            "key",
            "address",
            "ip",
        ),
        *("everything", "network", "requests", "for", "was", "were", "are", "is", "being", "been"),
        *("all", "changes", "attempts", "records", "it", "happened"),
    }
)
_JOINERS = frozenset({"or", "and", "nor"})
_OBJECTS = frozenset({"name", "ip", "interface", "agent", "actor_kind", "role", "person", "reader"})

_WITHOUT_VERB = frozenset({"wasn't", "isn't", "weren't", "aren't"})
"""After these may follow what something was not; after other verbs, what did not happen."""
_NOTHING = word_set("no never nobody none neither nor nothing noone nowhere") | {"no one"}

NOT_RECORDED = (
    "Entries show what happened, not what did not. Leave something out with a minus sign, such as"
    " -by:jane or -failed."
)
NOT_UNDERSTOOD = (
    "What is to be left out was not understood. Write it with a minus sign, such as -by:jane,"
    " -failed or -from:10.0.0.0/8."
)


def apply(sentence: Sentence) -> None:
    place = 0
    while place < len(sentence):
        length = _negator_at(sentence, place)
        if length:
            place = _apply_at(sentence, place, length)
        else:
            place += 1
    _check_excluded(sentence)


def _negator_at(sentence: Sentence, place: int) -> int:
    for length in (4, 3, 2):
        if sentence.phrase(place, length) in v.NEGATING_PHRASES:
            # everyone but: what stands before is no part of it
            return length
    word = sentence.word(place)
    if not sentence.is_free(place):
        return 0
    if word in v.NEGATORS or (word.endswith("n't") and len(word) > 3):
        return 1
    return 0


def _apply_at(sentence: Sentence, place: int, length: int) -> int:
    phrase = sentence.phrase(place, length)
    end = place + length
    excludes = phrase in v.EXCLUDING
    if _is_doubled(sentence, end):
        return _strike(sentence, place, end)
    if phrase == "not" and sentence.word(end) in ("only", "just"):
        return _strike(sentence, place, end)
    if phrase in _NOTHING:
        return _strike(sentence, place, end)
    if phrase in ("not", *_WITHOUT_VERB):
        end = _past_making(sentence, end)
    target, at = _next(sentence, end)
    if target is None or target.excluded:
        return _strike(sentence, place, end)
    is_verb = target.kind == "deed" and target.value.form in ("past", "base", "ing")
    through_preposition = any(sentence.word(n) in v.PREPOSITIONS for n in range(end, at))
    is_of_verb = phrase.endswith("n't") and phrase not in _WITHOUT_VERB
    if not excludes and (
        is_of_verb or target.kind in ("tried", "access") or (is_verb and not through_preposition)
    ):
        return _strike(sentence, place, end)
    if not can_be_excluded(target.kind):
        return _strike(sentence, place, end)
    chain = _chain(
        sentence,
        target,
        outside=phrase.endswith("outside"),
        excludes=excludes and phrase != "but not",
    )
    if chain is None:
        return _strike(sentence, place, end)
    for mark in chain:
        mark.excluded = True
    first, last = chain[0], chain[-1]
    del first
    for n in range(place, last.end):
        if sentence.is_free(n):
            sentence.fill(n, n + 1)
    sentence.settings.setdefault("negators", []).append((place, end, last.end))
    chain[0].others.append((place, at))
    return last.end


def _past_making(sentence: Sentence, place: int) -> int:
    """Past "made" and the like in "not made by jane", which is not by jane."""
    past = place + (sentence.word(place) in v.BEING)
    if sentence.word(past) not in _MADE or sentence.word(past + 1) not in _MAKING_WAYS:
        return place
    mark = sentence.at(past)
    if mark is not None and mark in sentence.marks:
        sentence.drop(mark)
    sentence.fill(place, past + 1)
    return past + 1


_MADE = word_set("made done performed initiated caused triggered issued executed coming sent")
_MAKING_WAYS = word_set("by via through from using")


def _is_doubled(sentence: Sentence, place: int) -> bool:
    """not excluding, not except: two that may or may not undo each other."""
    return bool(_negator_at(sentence, place)) and sentence.word(place) not in ("outside",)


def _next(sentence: Sentence, place: int) -> tuple[Mark | None, int]:
    """The mark that a negation before `place` is about, and where it begins."""
    while place < len(sentence):
        mark = sentence.at(place)
        if mark is not None and mark.kind != "filler":
            return mark, place
        if sentence.is_struck(place):
            return None, place
        if mark is None and sentence.word(place) not in _SKIPPED:
            return None, place
        if sentence.tokens[place].ends:
            return None, place
        place += 1
    return None, place


def _chain(sentence: Sentence, first: Mark, *, outside: bool, excludes: bool) -> list[Mark] | None:
    """What is left out together: jane or john, deletions and rotations. None if it is not one
    thing each: what has to be two at once, such as deletions of environments, cannot be."""
    if outside and first.kind not in ("ip", "name", "interface", "hours", "days"):
        return None
    chain = [first]
    place = first.end
    while place < len(sentence):
        mark = sentence.at(place)
        if mark is not None and mark.kind == "filler":
            place += 1
        elif sentence.tokens[place - 1].ends or (mark is None and sentence.word(place) in _JOINERS):
            following = _joined(sentence, chain, place, excludes=excludes)
            if following is None:
                return chain
            chain.append(following)
            place = following.end
        elif mark is None:
            if _ends(sentence, chain, place):
                return chain
            if sentence.word(place) not in _LEADING and sentence.is_free(place):
                return None if sentence.word(place) not in v.FILLERS else chain
            place += 1
        elif mark.kind in _APART or (chain[-1].kind in _THINGS and mark.kind == "deed"):
            return chain  # everyone except ci deleted something
        elif _says_the_same(chain[-1], mark):
            chain[-1] = _the_name(sentence, chain[-1], mark)
            place = mark.end
        else:
            return None
    return chain


_LEADING = v.PREPOSITIONS | v.ARTICLES | {"'s"}
_APART = frozenset(
    {"time", "times", "hours", "days", "by", "limit", "at_least", "order", "qualifier", "event"}
)
"""Marks of what bounds the whole question, whatever they stand behind."""
_THINGS = frozenset({"name", "ip", "interface", "agent"})


def _ends(sentence: Sentence, chain: list[Mark], place: int) -> bool:
    """Whether what is left out ends here."""
    word = sentence.word(place)
    if not sentence.is_free(place) or word in ("but", "that", "who", "which", "since", "when"):
        return True
    # not by jane, in storefront; but deletions of environments are one thing
    return word in v.PREPOSITIONS and chain[-1].kind in _OBJECTS


def _joined(sentence: Sentence, chain: list[Mark], place: int, *, excludes: bool) -> Mark | None:
    """What a comma or a joiner before `place` adds to what is left out; None if nothing."""
    word = sentence.word(place)
    is_joiner = word in _JOINERS and sentence.at(place) is None
    following, at = _next(sentence, place + is_joiner)
    if following is None:
        return None
    if _goes_on(sentence, chain, following, place, at, excludes=excludes):
        return following
    if word == "and" and not excludes and _prepositions(sentence, place, at):
        # not by jane and in storefront: is that to be left out as well?
        _strike(sentence, place, place + 1)
    return None


def _the_name(sentence: Sentence, one: Mark, other: Mark) -> Mark:
    """Of a name and its type the name: the key ci, the production environment."""
    name, type_mark = (one, other) if one.kind == "name" else (other, one)
    sentence.drop(type_mark)
    sentence.fill(type_mark.start, type_mark.end)
    return name


def _goes_on(
    sentence: Sentence, chain: list[Mark], following: Mark, joiner: int, at: int, *, excludes: bool
) -> bool:
    """Whether what a joiner leads to is left out as well."""
    if not can_be_excluded(following.kind):
        return False
    last = chain[-1]
    leads = _prepositions(sentence, joiner, at)
    if not leads:
        return following.kind == last.kind or {following.kind, last.kind} <= _OBJECTS
    if leads & _prepositions(sentence, chain[0].start - 2, chain[0].start):
        return True
    return sentence.word(joiner) in ("or", "nor") or (excludes and sentence.word(joiner) == "and")


def _prepositions(sentence: Sentence, start: int, end: int) -> set[str]:
    return {sentence.word(n) for n in range(max(start, 0), end)} & v.PREPOSITIONS


def _says_the_same(one: Mark, other: Mark) -> bool:
    kinds = {one.kind, other.kind}
    return "name" in kinds and bool(kinds & {"type", "person"})


def _strike(sentence: Sentence, start: int, end: int) -> int:
    """Strike out a negation with all that it is about; times stay, unless they follow at once."""
    past = end
    is_first = True
    while past < len(sentence):
        if past > start and sentence.tokens[past - 1].ends:
            break
        if sentence.word(past) == "but" and sentence.is_free(past):
            break
        mark = sentence.at(past)
        if mark is not None and mark.kind in ("qualifier", "event"):
            break
        if mark is not None and mark.kind in _APART and not is_first:
            break
        if mark is None or mark.kind != "filler":
            is_first = is_first and sentence.word(past) in (v.PREPOSITIONS | v.ARTICLES)
        past = mark.end if mark is not None else past + 1
    begin = start
    while (
        begin > 0
        and sentence.is_free(begin - 1)
        and (
            sentence.word(begin - 1)
            in ("from", "in", "on", "and", "but", "which", "that", "was", "were")
            and not sentence.tokens[begin - 1].ends
        )
    ):
        begin -= 1
    had_deed = any(
        mark.kind in ("deed", "tried", "access")
        for mark in sentence.marks
        if begin <= mark.start < past
    )
    what = sentence.words_of(begin, past)
    is_place = sentence.word(start) in ("outside",) and not had_deed
    offers = (
        [Offer(_with(sentence, begin, past, "-from:10.0.0.0/8"), "-from:10.0.0.0/8")]
        if is_place
        else []
    )
    sentence.settings.setdefault("negated", []).append(what)
    sentence.settings["negated_deed"] = sentence.settings.get("negated_deed", False) or had_deed
    sentence.strike(
        begin, past, NOT_RECORDED if had_deed else NOT_UNDERSTOOD, offers, negation=True
    )
    return past


def _with(sentence: Sentence, start: int, end: int, text: str) -> str:
    before = sentence.text[: sentence.tokens[start].start]
    after = sentence.text[sentence.tokens[end - 1].end :]
    return f"{before}{text}{after}"


def _check_excluded(sentence: Sentence) -> None:
    """Whatever is to be left out and cannot be is struck out instead."""
    for mark in list(sentence.marks):
        if not mark.excluded:
            continue
        if mark.kind == "deed" and not v.excluded_actions(mark.value):
            is_understood = False
        elif mark.kind == "name" and not mark.value.acts and not mark.value.types:
            is_understood = sentence.tokens[mark.start].is_quoted
        else:
            is_understood = can_be_excluded(mark.kind)
        if not is_understood:
            text = sentence.tokens[mark.start].text
            sentence.strike(
                mark.start,
                mark.end,
                f"{text}: this is not a word that can be left out, nor a name in this log.",
                negation=True,
            )
