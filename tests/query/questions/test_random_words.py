"""Random words and negations: whatever is typed, no answer has what was to be left out, none is
the whole log, and no word that was not understood is searched for."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import example, given
from hypothesis import settings as trying
from hypothesis import strategies as st

from audit.questions.bar import Question
from audit.questions.bar import vocabulary as v
from audit.questions.bar.tokens import read as tokens_of
from audit.questions.fields import split
from tests.query.questions.acme import KEYS, LOG, PATHS, PEOPLE, comparable, read

LANGUAGE = sorted(
    {
        *v.DEEDS,
        *v.TYPES,
        *v.RESULTS,
        *v.FILLERS,
        *v.PREPOSITIONS,
        *v.INTERFACES,
        *v.FIELDS,
        *v.ROLES,
    }
)
TIMES = ["yesterday", "last week", "in october", "at 11:42", "on weekends", "since monday", "Q3"]
NAMES = sorted({*(email.split("@")[0] for email in PEOPLE.values()), *KEYS, *PATHS, "production"})
NONSENSE = ["frobnicate", "quux", "zebra", "gateway-99", "staging2", "xyzzy", "Müller", "日本"]
NEGATORS = [
    "not",
    "except",
    "without",
    "excluding",
    "other than",
    "no",
    "never",
    "outside",
    "but not",
]
NEGATORS += ["not by", "not from", "not in", "not via", "didn't", "nobody", "neither", "except by"]
NEGATORS += ["hide", "save for", "don't show", "not including", "not made by", "w/o", "barring"]
ADDRESSES = ["192.0.2.0/24", "203.0.113.77", "2001:db8::/32"]

words = st.one_of(
    st.sampled_from(LANGUAGE),
    st.sampled_from(LANGUAGE),
    st.sampled_from(NAMES),
    st.sampled_from(NONSENSE),
    st.sampled_from(TIMES),
    st.sampled_from(NEGATORS),
    st.sampled_from(ADDRESSES),
    st.sampled_from([f"-{name}" for name in (*NAMES, *NONSENSE, "deleted", "failed", "secrets")]),
    st.sampled_from([f"!{name}" for name in (*NAMES, *NONSENSE, "deleted", "failed", "secrets")]),
    st.sampled_from([",", "and", "or", "?", "'s", "= jane", "action = delete", "per user", "most"]),
)
sentences = st.lists(words, min_size=1, max_size=9).map(" ".join)


@trying(max_examples=600, deadline=None)
@given(sentences)
@example("not excluding jane")
@example("nothing but deletions")
@example("deletions not frobnicated by jane")
@example("not not failed")
@example("-frobnicate")
@example("everything except quux")
def test_no_answer_is_the_whole_log_or_searches_what_is_not_understood(sentence: str) -> None:
    question = read(sentence)
    narrowing = {name for name in question.params if name not in ("tz", "order", "limit")}
    if not narrowing and not question.moments:
        assert not question.is_answerable or (question.is_everything and not question.struck)
    if question.then is not None:
        assert question.then.is_answerable
    known = LOG.known([token.value for token in tokens_of(sentence)])
    for each in (question, question.then, *(moment.question for moment in question.moments)):
        for name, text in _searched(each):
            is_known = LOG.known([text]) or LOG.is_path(text) or text in known
            assert is_known or text in PEOPLE.values() or text == "ada@acme.example", (name, text)


def _searched(question: Question | None) -> Iterator[tuple[str, str]]:
    """Every text that is looked for as a name."""
    for name in ("actor", "resource", "q", "exclude_actor", "exclude_resource", "exclude_q"):
        for value in question.params.get(name, ()) if question else ():
            for text in value.split() if name == "q" else split(value):
                yield name, text


FILTERS = [
    ("by jane", "actor", "jane"),
    ("by ci", "actor", "ci"),
    ("deletions", "action", "delete"),
    ("failed", "result", "failed"),
    ("from 192.0.2.0/24", "ip", "192.0.2.0/24"),
    ("via the cli", "interface", "cli"),
    ("in storefront", "resource", "storefront"),
    ("secrets", "type", "secret"),
]
BEFORE = [
    "",
    "changes",
    "what happened yesterday",
    "sign-ins",
    "who deleted production",
    "everything",
]


@trying(max_examples=400, deadline=None)
@given(
    st.sampled_from(BEFORE),
    st.sampled_from(
        [
            *("not", "except", "excluding", "but not", "other than", "without", "hide", "barring"),
            *("save for", "not including", "don't show", "do not include", "suppress", "w/o"),
        ]
    ),
    st.sampled_from(FILTERS),
    st.sampled_from(["", "yesterday", "frobnicated", "last week", "or by sam", "and rotations"]),
)
def test_what_is_negated_is_left_out_or_struck_and_never_asked_for(
    before: str, negator: str, negated: tuple[str, str, str], after: str
) -> None:
    text, name, value = negated
    question = read(f"{before} {negator} {text} {after}")
    found = comparable(question.params)
    alone = comparable(read(before).params)
    is_left_out = value in found.get(f"exclude_{name}", ())
    is_struck = any(text.split()[-1] in each.words for each in question.struck)
    assert is_left_out or is_struck
    if value not in alone.get(name, ()):
        assert value not in found.get(name, ())


@trying(max_examples=300, deadline=None)
@given(
    st.sampled_from(FILTERS), st.lists(words, max_size=5).map(" ".join), st.sampled_from(["-", "!"])
)
def test_a_minus_leaves_out_what_the_word_means(
    negated: tuple[str, str, str], more: str, sign: str
) -> None:
    text, name, value = negated
    word = text.split()[-1]
    question = read(f"{more} {sign}{word}")
    if question.struck and any("English" in note for note in question.notes):
        return
    found = comparable(question.params)
    is_struck = any(word in each.words for each in question.struck)
    is_elsewhere = question.page is not None or not question.is_answerable
    names = {f"exclude_{name}", "exclude_resource", "exclude_actor"}
    is_left_out = any(value in found.get(each, ()) for each in names)
    assert is_left_out or is_struck or is_elsewhere
