"""Reading a sentence from its words to a question: what belongs together is found in turn, each
thing anywhere in the sentence; what is left over is struck out."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError

from audit.questions import periods
from audit.questions.bar import meaning, negation, states, times, words
from audit.questions.bar import vocabulary as v
from audit.questions.bar.describing import as_text, describe_hours, describe_period, shown
from audit.questions.bar.meaning import Piece, Reading
from audit.questions.bar.names import Log
from audit.questions.bar.question import Moment, Offer, Part, Question, Struck
from audit.questions.bar.roles import DOINGS
from audit.questions.bar.sentence import Sentence
from audit.questions.bar.tokens import Token, quoted, with_equations, word_set
from audit.questions.bar.tokens import read as read_tokens
from audit.questions.fields import join, suggest
from audit.questions.filters import EntryFilter
from audit.questions.periods import TIMES

NOT_IN_ENGLISH = (
    "Questions are read in English. Names, times and qualifiers are the same in any language."
)
TWO_LISTS = (
    "Two lists: entries are not matched with one another, so whether the second followed the first"
    " is for you to see."
)
SAY_MORE = "Nothing in this narrows the log. Say who, did what, to what or when."
TWO_KINDS = (
    "Two lists, one for each part of the question: a single list would mix what belongs to them."
)
ONE_LIST = "Entries of what happened are listed; whether something did not happen since, is not."


class Reader:
    """Reads questions from one time zone, at one time, to one log."""

    def __init__(self, log: Log, zone: dt.tzinfo, now: dt.datetime, reader: str = "") -> None:
        self.log = log
        self.zone = zone
        self.now = now
        self.reader = reader

    def read(self, text: str) -> Question:
        return self._read(text, with_equations(list(read_tokens(text))), depth=0)

    def with_ways_back(self, question: Question) -> Question:
        """The question with what each chip leaves when it is removed: the sentence without its
        words, where that still means the rest, else the rest in qualifiers."""
        return replace(
            question, parts=tuple(self._with_way_back(question, part) for part in question.parts)
        )

    def _with_way_back(self, question: Question, part: Part) -> Part:
        rest = {n: v for n, v in question.params.items() if n not in (part.parameter, "tz")}
        if part.parameter in question.params:
            left = [v for v in question.params[part.parameter] if v not in part.values]
            rest |= {part.parameter: left} if left else {}
        found = self.read(part.without)
        same = {n: sorted(v) for n, v in found.params.items() if n != "tz"}
        is_kept = same == {n: sorted(v) for n, v in rest.items()} and (
            [m.words for m in found.moments] == [m.words for m in question.moments]
            and len(found.struck) <= len(question.struck)
        )
        counts = "" if part.parameter == "by" or not question.by else f" by {question.by}"
        return part if is_kept else replace(part, without=as_text(rest) + counts)

    # -- One sentence, or the parts of two

    def _read(self, text: str, tokens: Sequence[Token], depth: int, subject: str = "") -> Question:
        if foreign := _foreign(tokens, self.log):
            return self._foreign(text, tokens, foreign)
        if depth == 0 and (split := _sequence(tokens)):
            return self._sequence(text, tokens, *split)
        if depth == 0 and (both := self._two_kinds(text, tokens)):
            return both
        sentence = Sentence(text, tokens, self.now, self.zone, self.log, self.reader)
        reading = Reading()
        self._take_qualifiers(sentence, reading)
        times.find(sentence)
        moments = self._events(sentence, depth)
        _strike_between(sentence)
        words.find(sentence)
        self._take_reader(sentence, subject)
        words.find_names(sentence)
        words.find_programs(sentence)
        page = states.find(sentence)
        negation.apply(sentence)
        found = meaning.read(sentence)
        _settle(sentence, found)
        words.strike_rest(sentence)
        for piece in found.pieces:
            reading.add(
                piece.parameter, piece.values, piece.marks, piece.shown
            ).offers += piece.offers
        reading.notes = [*sentence.notes, *found.notes]
        return self._finish(sentence, reading, moments, page)

    def _sequence(
        self,
        text: str,
        tokens: Sequence[Token],
        first: slice,
        second: slice,
        joint: str,
        shown: slice,
    ) -> Question:
        """deleted but not restored; exported the log and then deleted something"""
        main = self._read(text, tokens[first], depth=1)
        subject = next((part.values[0] for part in main.parts if part.parameter == "resource"), "")
        then = self._read(text, tokens[second], depth=1, subject=subject)
        if any(token.word in ("they", "it") for token in tokens[first]):
            # attempts to read secrets after they were deleted
            same = {name: then.params[name] for name in ("type", "resource") if name in then.params}
            main = replace(main, params=same | dict(main.params))
        if not then.is_answerable:
            then = Question("")
        elif (
            "action" in then.params
            and not {"type", "resource"} & then.params.keys()
            and "something" not in text.lower()
        ):
            same = {name: main.params[name] for name in ("type", "resource") if name in main.params}
            if same.get("type") != ["audit_log"]:
                then = replace(then, params=dict(then.params) | same)
        notes = (*main.notes, ONE_LIST if joint == "not" else TWO_LISTS)
        struck = list(main.struck)
        if joint == "not":
            start, end = tokens[shown][0].start, tokens[shown][-1].end
            struck.append(
                Struck(text[start:end].rstrip("?!,;. "), negation.NOT_RECORDED, start, end)
            )
        return replace(
            main,
            text=text,
            then=replace(then, text=as_text(then.params)) if then.is_answerable else None,
            joint=joint,
            notes=notes,
            struck=tuple(struck),
        )

    def _two_kinds(self, text: str, tokens: Sequence[Token]) -> Question | None:
        """jane's reads and sam's deletions: two questions, where one would ask for jane's deletions
        as well. What was done when holds for both."""
        said = [token.word for token in tokens]
        for place in range(1, len(tokens) - 1):
            is_joiner = said[place] in ("and", "or")
            if not (is_joiner or tokens[place - 1].ends):
                continue
            parts = tokens[:place], tokens[place + is_joiner :]
            if not all(_has_deed([token.word for token in part]) for part in parts):
                continue
            first, second = (self._read(text, part, depth=1) for part in parts)
            if not _are_apart(first, second):
                continue
            times = {
                name: values
                for each in (first, second)
                for name, values in each.params.items()
                if name in (*TIMES, *_CLOCK)
            }
            then = {**times, **second.params}
            return replace(
                first,
                text=text,
                params={**times, **first.params},
                parts=(*first.parts, *(p for p in second.parts if p.parameter in times)),
                struck=(*first.struck, *second.struck),
                notes=(*first.notes, *second.notes, TWO_KINDS),
                then=replace(second, text=as_text(then), params=then, struck=(), notes=()),
                joint="and",
            )
        return None

    def _foreign(self, text: str, tokens: Sequence[Token], language: str) -> Question:
        offers = tuple(
            Offer(f"{'actor' if known.acts else 'resource'}:{quoted(known.value)}", known.value)
            for known in self.log.known([token.value for token in tokens if token.word]).values()
        )
        note = f"This reads like {language}. {NOT_IN_ENGLISH}"
        struck = Struck(text.strip(), note, 0, len(text))
        return Question(text, struck=(struck,), notes=(note,), offers=offers)

    # -- Qualifiers

    def _take_qualifiers(self, sentence: Sentence, reading: Reading) -> None:
        for place, token in enumerate(sentence.tokens):
            if token.name and sentence.is_free(place):
                self._take_qualifier(sentence, reading, place)

    def _take_qualifier(self, sentence: Sentence, reading: Reading, place: int) -> None:
        token = sentence.tokens[place]
        name = v.KEYWORDS.get(token.name)
        if name is None:
            why = f"{token.name} is not a qualifier. {suggest(token.name, sorted(v.KEYWORDS))}"
            offers = _offers(sentence, place, token.name, why)
            sentence.strike(place, place + 1, why, offers, negation=token.is_excluded)
            return
        if token.is_excluded:
            if f"exclude_{name}" not in EntryFilter.base_filters:
                sentence.strike(place, place + 1, f"{name} cannot be excluded.", negation=True)
                return
            name = f"exclude_{name}"
        values, end = list(token.values), place + 1
        if not values:
            following = sentence.tokens[end] if sentence.is_free(end) else None
            if following is None or following.name or following.is_excluded:
                sentence.strike(
                    place, end, "Add a value after the colon.", negation=token.is_excluded
                )
                return
            # The space after the colon is how one writes.
            values, end = list(following.values), end + 1
        if name in TIMES:
            values = [",".join(values)]
            end = self._rest_of_time(sentence, name, values, end, is_quoted=token.is_quoted)
        elif name == "q":
            values = [",".join(values)]
        elif name == "reason" and f"{values[-1]} {sentence.word(end)}".lower() in v.REASONS:
            values[-1], end = f"{values[-1]} {sentence.word(end)}", end + 1
        known = [values_of(name.removeprefix("exclude_"), value) for value in values]
        values = [
            join([each]) if name not in (*TIMES, "q") else each for one in known for each in one
        ]
        problem = _problem(name, values, sentence)
        if problem:
            offers = _offers(sentence, place, token.value, problem)
            sentence.strike(place, end, problem, offers, negation=token.is_excluded)
            return
        mark = sentence.mark(place, end, "qualifier", name)
        if name in (*TIMES, "q") and reading.has(name):
            if name == "q":
                reading.pieces[0].values = [" ".join([*reading.values("q"), *values])]
                return
            sentence.strike(place, end, f"Give one {name} only.")
            return
        reading.add(name, values, [mark])

    def _rest_of_time(
        self, sentence: Sentence, name: str, values: list[str], end: int, *, is_quoted: bool
    ) -> int:
        """since:last week: a time may be several words."""
        if is_quoted:
            return end
        for length in range(times.LONGEST, 0, -1):
            following = [sentence.word(end + n) for n in range(length)]
            if not all(following) or not all(sentence.is_free(end + n) for n in range(length)):
                continue
            if any(sentence.tokens[end + n].is_excluded for n in range(length)):
                continue
            text = " ".join([values[0], *following])
            if sentence.resolve(name, text) is not None:
                values[0] = text
                return end + length
        return end

    # -- Events as times

    def _events(self, sentence: Sentence, depth: int) -> list[Moment]:
        """since the last rotation of storefront, before he left, since my last visit"""
        found: list[Moment] = []
        for place in range(len(sentence)):
            word = sentence.word(place)
            if word not in ("since", "after", "before", "until", "till") or not sentence.is_free(
                place
            ):
                continue
            if depth > 0:
                continue
            end = place + 1
            while (
                end < len(sentence) and sentence.is_free(end) and not sentence.tokens[end - 1].ends
            ):
                if sentence.word(end) in ("since", "until", "before", "after", "till", "but"):
                    break
                end += 1
            moment = self._event(sentence, place, end)
            if moment is not None:
                found.append(moment)
        return found

    def _event(self, sentence: Sentence, place: int, end: int) -> Moment | None:
        clause = list(sentence.tokens[place + 1 : end])
        spoken = " ".join(token.word for token in clause)
        name = "since" if sentence.word(place) in ("since", "after") else "until"
        what = sentence.words_of(place, end).rstrip("?!,;. ")
        if _VISIT.fullmatch(spoken):
            question = self._visit(what)
        else:
            question = self._of_clause(sentence, clause, place) if clause else None
        if question is None:
            if _has_deed([token.word for token in clause]):
                why = f"What is meant by {what!r} was not understood. Give a date instead."
                sentence.strike(place, end, why)
            return None
        sentence.mark(place, end, "event", name)
        without = _without(
            sentence.text, [(sentence.tokens[place].start, sentence.tokens[end - 1].end)]
        )
        return Moment(name, what, question, without)

    def _visit(self, what: str) -> Question | None:
        if not self.reader:
            return None
        params = {"actor": [self.reader], "action": ["view"], "type": ["audit_log"]}
        params["until"] = ["30m"]  # what was looked at since is this visit
        return Question(what, params)

    def _of_clause(self, sentence: Sentence, clause: list[Token], place: int) -> Question | None:
        is_pronoun = any(token.word in v.PRONOUNS | {"their", "his"} for token in clause)
        subject = ""
        if is_pronoun:
            # He who was named before is meant.
            before = [
                t.value for t in sentence.tokens[:place] if t.word and t.word not in v.FILLERS
            ]
            known = self.log.known(before)
            subject = next((text for text in before[::-1] if text in known), "")
            if not subject:
                return None
            said = Token(subject, "", (subject,))
            clause = [
                replace(said, start=t.start, end=t.end) if t.word in v.PRONOUNS else t
                for t in clause
            ]
        found = self._read(sentence.text, clause, depth=1)
        if not {"actor", "actor_type", "actor_role"} & found.params.keys():
            found = self._done_by_same(sentence, clause, place, found)
        has_deed = bool(found.params.keys() & {"action", "field", "result"})
        return found if has_deed and not found.struck else None

    def _done_by_same(
        self, sentence: Sentence, clause: Sequence[Token], place: int, found: Question
    ) -> Question:
        """what did olivia do after signing in: she, not anybody"""
        first = words.LEXICON.get(" ".join(token.word for token in clause[:2])) or (
            words.LEXICON.get(clause[0].word)
        )
        if first is None or first[0] != "deed" or getattr(first[1], "form", "") != "ing":
            return found
        known = self.log.known([token.value for token in sentence.tokens[:place] if token.word])
        who = next((name.value for name in known.values() if name.acts), "")
        return replace(found, params={**found.params, "actor": [who]}) if who else found

    # -- "I"

    def _take_reader(self, sentence: Sentence, subject: str) -> None:
        for place in range(len(sentence)):
            word = sentence.word(place)
            if not sentence.is_free(place):
                continue
            if word in ("i", "me", "myself") and _is_about_reader(sentence, place):
                if self.reader:
                    start = place - 1 if sentence.word(place - 1) == "by" else place
                    sentence.mark(start, place + 1, "reader", self.reader)
                else:
                    sentence.strike(
                        place, place + 1, "Who “I” is, is not known here; name the actor."
                    )
            elif word == "my" and self.reader:
                self._take_mine(sentence, place)
            elif subject and word in v.PRONOUNS and word not in ("this", "that"):
                sentence.fill(place, place + 1)

    def _take_mine(self, sentence: Sentence, place: int) -> None:
        """my sign-ins, my role"""
        following = sentence.at(place + 1)
        word = sentence.word(place + 1)
        if following is not None and following.kind == "result":
            following = sentence.at(following.end)
        if word in DOINGS or (following is not None and following.kind == "deed"):
            sentence.mark(place, place + 1, "reader", self.reader)
        elif following is not None and following.kind in ("field", "password", "permissions"):
            sentence.mark(place, place + 1, "mine", self.reader)

    # -- The question

    def _finish(
        self, sentence: Sentence, reading: Reading, moments: Sequence[Moment], page: object
    ) -> Question:
        _check_negations(sentence)
        for mark in sentence.of("reader"):
            is_out = mark.excluded
            reading.add("exclude_actor" if is_out else "actor", [mark.value], [mark])
        for mark in sentence.of("mine"):
            reading.add("resource", [mark.value], [mark])
        _refuse_invalid(sentence, reading)
        order, limit = self._order(sentence)
        by, at_least = _counting(sentence, reading)
        params = {piece.parameter: list(piece.values) for piece in _times_last(reading.pieces)}
        state = (
            page
            if page is not None
            else states.find_listed(
                sentence, is_narrowed=bool(params.keys() - {"type", "resource"})
            )
        )
        if state is not None:
            sentence.strikes = []
        if state is not None or _is_emptied(sentence, params):
            params = {}
            reading.pieces = []
            moments = ()
        is_everything = (
            not params
            and not moments
            and state is None
            and not sentence.strikes
            and _is_whole(sentence, by)
        )
        if (
            not params
            and not moments
            and state is None
            and not is_everything
            and not sentence.strikes
        ):
            reading.notes.append(SAY_MORE)
        if params.keys() & {
            *TIMES,
            "hours",
            "days",
            "exclude_hours",
            "exclude_days",
        } and isinstance(self.zone, ZoneInfo):
            params["tz"] = [self.zone.key]
        if not by and (params or is_everything or moments):
            # Of counts the limit is one of rows.
            params |= {"order": [order]} if order != "newest" else {}
            params |= {"limit": [str(limit)]} if limit else {}
        question = Question(
            sentence.text,
            params,
            struck=tuple(_struck(sentence)),
            notes=tuple(dict.fromkeys(reading.notes)),
            offers=() if state else tuple(_mended(sentence)),
            order=order,
            limit=limit,
            is_count=bool(sentence.settings.get("is_count")),
            by=by,
            at_least=at_least,
            page=state,  # type: ignore[arg-type]
            moments=tuple(moments),
            is_everything=is_everything,
        )
        return replace(question, parts=tuple(self._parts(sentence, reading, question)))

    def _order(self, sentence: Sentence) -> tuple[str, int | None]:
        order = sentence.settings.get("order") or next(
            (mark.value for mark in sentence.of("order")), "newest"
        )
        return order, next((mark.value for mark in sentence.of("limit")), None)

    def _parts(self, sentence: Sentence, reading: Reading, question: Question) -> list[Part]:
        parts = [self._part(sentence, piece) for piece in _times_last(reading.pieces)]
        for name, kind in (
            ("by", "by"),
            ("at_least", "at_least"),
            ("limit", "limit"),
            ("order", "order"),
        ):
            for mark in sentence.of(kind)[:1]:
                value = question.by if name == "by" else str(mark.value)
                piece = Piece(name, [value], [mark])
                parts.append(self._part(sentence, piece))
        if question.by and not sentence.of("by"):
            parts.append(Part("by", (question.by,), v.LABELS["by"], v_by(question.by)))
        return parts

    def _part(self, sentence: Sentence, piece: Piece) -> Part:
        spans = [
            span
            for mark in piece.marks
            for span in [(mark.start, mark.end), *mark.others]
            if mark.start < mark.end
        ]
        spans = [_with_preposition(sentence, start, end) for start, end in sorted(set(spans))]
        words_said = ", ".join(
            sentence.words_of(start, end).strip("?!,;. ") for start, end in spans
        )
        places = [(sentence.tokens[a].start, sentence.tokens[b - 1].end) for a, b in spans]
        bare = piece.parameter.removeprefix("exclude_")
        label = v.LABELS.get(bare, bare.replace("_", " "))
        exact = ""
        if piece.parameter in TIMES:
            period = sentence.resolve(piece.parameter, piece.values[0])
            exact = describe_period(period, self.zone, self.now) if period else ""
            label = piece.parameter
        elif bare == "hours":
            exact = describe_hours(piece.values, self.zone)
        return Part(
            piece.parameter,
            tuple(piece.values),
            f"not {label}" if bare != piece.parameter else label,
            shown(bare, piece.values),
            exact,
            words_said,
            _without(sentence.text, places),
            tuple(piece.offers),
        )


def v_by(by: str) -> str:
    return {"ip": "address", "user_agent": "program"}.get(by, by)


_VISIT = re.compile(
    r"(?:my|the) last (?:visit|look|time here)"
    r"|i (?:last )?(?:looked|was here last|was last here|visited)(?: last)?"
)


# -- Sequences


_THEN = ("and then", "followed by", "and afterwards", "and later", "then", "and subsequently")
_NOT = (
    "but not",
    "but never",
    "and not",
    "and never",
    "but wasn't",
    "but weren't",
    "without being",
)


def _sequence(tokens: Sequence[Token]) -> tuple[slice, slice, str, slice] | None:
    """Where a sentence is two: of what comes first, of what comes then, how they are joined, and
    what is struck out."""
    words_said = [token.word for token in tokens]
    for place in range(1, len(tokens)):
        for phrases, joint in ((_THEN, "then"), (_NOT, "not")):
            for phrase in phrases:
                length = phrase.count(" ") + 1
                if " ".join(words_said[place : place + length]) != phrase:
                    continue
                rest = slice(place + length, len(tokens))
                if not _has_deed(words_said[rest], only_verbs=joint == "not"):
                    continue
                if not _has_deed(words_said[:place]):
                    continue
                return (
                    slice(0, place),
                    rest,
                    joint,
                    slice(place + phrase.startswith(("but", "and")), len(tokens)),
                )
    if (same := " ".join(words_said)).find("by the same ") > 0 and "and" in words_said:
        joiner = words_said.index("and")
        end = same[: same.find("by the same ")].count(" ")
        if _has_deed(words_said[:joiner]) and _has_deed(words_said[joiner + 1 : end]):
            return slice(0, joiner), slice(joiner + 1, end), "then", slice(end, len(tokens))
    if "after" in words_said[1:]:
        place = words_said.index("after", 1)
        following = words_said[place + 1 : place + 2]
        if following == ["they"] and _has_deed(words_said[place + 1 :]):
            return slice(place + 1, len(tokens)), slice(0, place), "then", slice(place, len(tokens))
    return None


_CLOCK = ("tz", "hours", "exclude_hours", "days", "exclude_days")
_WHOSE = ("type", "resource", "actor", "actor_type", "actor_role", "interface", "result", "ip", "q")


_PERSONAL = ("invite", "join", "leave", "sign_in", "sign_out", "change_password", "reset_password")
"""What is done to people whatever else is said."""


def _with_own_kind(params: Mapping[str, list[str]]) -> dict[str, list[str]]:
    if "type" in params or not set(params.get("action", ())) & set(_PERSONAL):
        return dict(params)
    return {**params, "type": params["action"]}


def _are_apart(first: Question, second: Question) -> bool:
    """Whether what was done differs, and each says something else of whom or what."""
    if first.struck or second.struck:
        return False
    asked = [_with_own_kind(each.params) for each in (first, second)]
    if any("action" not in params for params in asked) or asked[0]["action"] == asked[1]["action"]:
        return False
    if any(name.startswith("exclude_") or name in ("order", "limit", "id")
           for params in asked for name in params):  # fmt: skip
        return False
    if any(each.by or each.is_count or each.moments or each.page for each in (first, second)):
        return False
    own, others = ({name for name in _WHOSE if name in params} for params in asked)
    if any(asked[0][name] != asked[1][name] for name in own & others):
        return True
    return bool(own - others and others - own)


def _has_deed(said: Sequence[str], *, only_verbs: bool = False) -> bool:
    for place in range(len(said)):
        for length in (2, 1):
            found = words.LEXICON.get(" ".join(said[place : place + length]))
            if found is None:
                continue
            kind, value = found
            if kind == "deed" and not (only_verbs and getattr(value, "form", "") == "noun"):
                return True
            if kind == "result" and not only_verbs:
                return True
        if only_verbs and said[place] not in v.BEING | {
            "yet",
            "ever",
            "since",
            "later",
            "subsequently",
        }:
            return False
    return False


def _strike_between(sentence: Sentence) -> None:
    """between the last two rotations: no time is made of two events, and no list of them either"""
    for place in range(len(sentence)):
        if sentence.word(place) != "between" or not sentence.is_free(place):
            continue
        end = place + 1
        while end < len(sentence) and sentence.is_free(end) and not sentence.tokens[end - 1].ends:
            end += 1
        if _has_deed([sentence.word(n) for n in range(place, end)]):
            why = "A time between two events is not read. Ask since the one, and before the other."
            sentence.strike(place, end, why)


# -- Other languages


def _foreign(tokens: Sequence[Token], log: Log) -> str:
    said = [token.word for token in tokens if token.word]
    if not said:
        return ""
    letters = "".join(said)
    strange = [letter for letter in letters if letter.isalpha() and ord(letter) > 0x24F]
    if len(strange) * 2 > len(letters) and not log.known([t.value for t in tokens]):
        return "another language"
    scores = {
        language: [word for word in said if word in known and word not in _ENGLISH]
        for language, known in v.FOREIGN.items()
    }
    language, found = max(scores.items(), key=lambda item: len(item[1]))
    unsure = [word for word in found if log.known([word])]
    count = len(found) - len(unsure)
    return language if count >= 2 or (count == 1 and len(said) <= 3 and found[0] in _SURE) else ""


_ENGLISH = frozenset(v.language()) | {"me", "i", "a", "was", "die", "no", "des", "on"}
_SURE = frozenset({"gelöscht", "geändert", "gestern", "supprimé", "eliminó", "borró", "cancellato"})


# -- Settling what is left open


def _settle(sentence: Sentence, reading: Reading) -> None:
    """Marks that came to nothing say nothing."""
    used = {id(mark) for piece in reading.pieces for mark in piece.marks}
    for mark in list(sentence.marks):
        if id(mark) not in used and mark.kind in _OPEN:
            sentence.fill(mark.start, mark.end)


_OPEN = word_set("new log person type filler access deed reset password permissions used_role")


def _counting(sentence: Sentence, reading: Reading) -> tuple[str, int | None]:
    by = next((mark.value for mark in sentence.of("by")), "")
    at_least = next((mark.value for mark in sentence.of("at_least")), None)
    many = not sentence.settings.get("is_count") and any(
        sentence.word(n) in ("many", "frequent") and sentence.word(n - 1) not in ("too", "so", "as")
        for n in range(len(sentence))
    )
    is_list = bool(sentence.settings.get("is_ranked")) or at_least is not None or many
    results = reading.values("result")
    is_attack = set(results) & {"failed", "denied"} and "sign_in" in reading.values("action")
    if is_list and not by:
        by = _asked_for(sentence) or ("ip" if is_attack else "actor")
    # Who fails to sign in is nobody yet: the account that was tried is the resource.
    return "resource" if by == "actor" and is_attack else by, at_least


def _asked_for(sentence: Sentence) -> str:
    """Of "which secrets were read more than once": what is to be counted."""
    for place in range(min(len(sentence), 4)):
        if sentence.word(place) in ("which", "what"):
            return v.COUNTED_BY.get(sentence.word(place + 1), "")
        if sentence.word(place + 1) in ("with", "that", "who", "having"):
            return v.COUNTED_BY.get(sentence.word(place), "")
    return ""


def _is_whole(sentence: Sentence, by: str) -> bool:
    """Whether all of the log was asked for in so many words, or a count of it all."""
    text = " ".join(token.word for token in sentence.tokens)
    for phrase in v.WHOLE_LOG:
        if re.search(rf"(?<!\S){re.escape(phrase)}(?!\S)", text):
            return True
    return bool(by or sentence.of("limit", "order"))


def _is_emptied(sentence: Sentence, params: dict[str, list[str]]) -> bool:
    """Whether what was not understood was the heart of the question: "who did not sign in
    yesterday" is not answered by all of yesterday."""
    narrowing = params.keys() - {*TIMES, "tz", "hours", "days"}
    return bool(sentence.settings.get("negated_deed")) and not narrowing


def _check_negations(sentence: Sentence) -> None:
    """No word of negation is dropped: it leaves something out, or it is struck out."""
    for place in range(len(sentence)):
        word = sentence.word(place)
        is_negator = word in v.NEGATORS or (word.endswith("n't") and len(word) > 3)
        if is_negator and sentence.is_free(place):
            sentence.strike(place, place + 1, negation.NOT_UNDERSTOOD, negation=True)


def _problem(name: str, values: Sequence[str], sentence: Sentence) -> str:
    """What is wrong with values of a parameter; empty if nothing is."""
    if name in TIMES:
        if sentence.resolve(name, values[0]) is None:
            return f"{values[0]!r} is not a time. Try {periods.EXAMPLES}."
        return ""
    declared = EntryFilter.base_filters.get(name)
    if declared is None:
        return ""
    try:
        declared.field.clean(list(values))
    except ValidationError as error:
        return " ".join(error.messages)
    return ""


def _offers(sentence: Sentence, place: int, wrong: str, why: str) -> list[Offer]:
    """The question with what a message suggests instead of a wrong word."""
    meant = re.search(r"Did you mean (\S+)\?", why)
    if meant is None:
        return []
    text = sentence.tokens[place].text.replace(wrong, meant[1], 1)
    return [Offer(words.replaced(sentence, place, place + 1, text), f"Did you mean {text}?")]


def _refuse_invalid(sentence: Sentence, reading: Reading) -> None:
    for piece in list(reading.pieces):
        if piece.parameter in TIMES:
            continue
        problem = _problem(piece.parameter, piece.values, sentence)
        if problem:
            reading.pieces.remove(piece)
            for mark in piece.marks:
                sentence.strike(mark.start, mark.end, problem, negation=mark.excluded)


def values_of(name: str, value: str) -> list[str]:
    """What a value of a qualifier means in the words of the filters: deleted is delete."""
    spoken = " ".join(value.lower().replace("_", " ").split())
    if name == "action":
        return list(v.actions_named(value)) or [value]
    if name == "type":
        return list(v.TYPES.get(spoken, (value,)))
    known = {
        "interface": v.INTERFACES,
        "result": v.RESULT_VALUES,
        "actor_type": v.ACTOR_KINDS,
        "severity": v.SEVERITIES,
        "actor_role": v.ALL_ROLES,
    }.get(name, {})
    if name == "field" and spoken in v.FIELDS:
        return list(v.FIELDS[spoken])
    return [known.get(spoken, value)]


def _times_last(pieces: Sequence[Piece]) -> list[Piece]:
    return sorted(pieces, key=lambda piece: piece.parameter in TIMES)


# -- Words again


def _is_about_reader(sentence: Sentence, place: int) -> bool:
    """what did I do; deleted by me; not "show me", "can I", "I need"."""
    before, after = sentence.word(place - 1), sentence.word(place + 1)
    if sentence.word(place) in ("me", "myself"):
        return before == "by" or before in ("except", "but", "from")
    if before in ("can", "could", "should", "may", "do", "how"):
        return before == "do" and sentence.word(place - 2) not in ("how", "")
    return after not in _REQUESTING


_REQUESTING = word_set("need want would see find determine check know get am have think 'd")


def _with_preposition(sentence: Sentence, start: int, end: int) -> tuple[int, int]:
    while (
        start > 0
        and sentence.word(start - 1) in (v.PREPOSITIONS | v.ARTICLES)
        and ((mark := sentence.at(start - 1)) is None or mark.kind == "filler")
    ):
        start -= 1
    return start, end


def _without(text: str, places: Sequence[tuple[int, int]]) -> str:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    for start, end in reversed(merged):
        text = f"{text[:start]} {text[end:]}"
    return " ".join(text.split()).strip(" ,;")


def _struck(sentence: Sentence) -> list[Struck]:
    return [
        Struck(
            sentence.words_of(strike.start, strike.end).strip("?!,;. "),
            strike.why,
            sentence.tokens[strike.start].start,
            sentence.tokens[strike.end - 1].end,
            tuple(strike.offers),
        )
        for strike in sorted(sentence.strikes, key=lambda strike: strike.start)
        if strike.start < strike.end
    ]


def _mended(sentence: Sentence) -> list[Offer]:
    """The question with everything mended that looks like a slip."""
    text, count = sentence.text, 0
    for token in reversed(sentence.tokens):
        place = sentence.tokens.index(token)
        if not sentence.is_struck(place) or not token.word or token.word in v.NEGATORS:
            continue
        meant = words.meant_by(sentence, token.word)
        if meant:
            before = replace(sentence, text=text) if text != sentence.text else sentence
            text = words.replaced(before, place, place + 1, meant)
            count += 1
    return [Offer(text, f"Did you mean: {text}")] if count else []
