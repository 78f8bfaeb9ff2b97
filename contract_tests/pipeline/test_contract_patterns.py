"""Whether one pattern admits every text of another is decided exactly, or not at all; and soon either way."""

from __future__ import annotations

import re
import time
from itertools import product
from typing import Any

import pytest

from contract.patterns import texts_covered

_PATTERNS = (
    "^a*$",
    "a",
    "^(a|b)+$",
    "^a{1,2}$",
    "b$",
    "^ab?",
    "^[^a]*$",
    "^(?:a|ab)(?:c|bcd)*$",
    "^$",
    "c|^b",
    "^a.c$",
)


@pytest.mark.parametrize(("outer", "inner"), list(product(_PATTERNS, repeat=2)))
def test_agrees_with_trying_every_short_text(outer: str, inner: str) -> None:
    """The verdict is that of matching every text of up to five of the letters, where all differences show."""
    texts = ["".join(letters) for length in range(6) for letters in product("abcd", repeat=length)]
    expected = all(re.search(outer, text) for text in texts if re.search(inner, text))
    assert texts_covered({"pattern": outer}, {"pattern": inner}) is expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"pattern": r"^\d{4}-\d\d$"}, {"pattern": r"^\d{4}-\d\d$", "minLength": 7, "maxLength": 7}),
        ({"pattern": "^[A-Za-z0-9_-]+$", "maxLength": 512}, {"pattern": r"^[\w-]{1,512}$"}),
        ({"pattern": "^[1-9][0-9]*d$"}, {"pattern": r"^[1-9]\d*?d$"}),
        ({"pattern": "^$"}, {"maxLength": 0}),
        ({"pattern": r"[\s\S]"}, {"minLength": 1}),
        ({"pattern": ""}, {}),
        ({"pattern": r"^(?<year>\d+)$"}, {"pattern": "^[0-9]{1,}$"}),
    ],
    ids=str,
)
def test_other_words_for_the_same_texts(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert texts_covered(one, other) is texts_covered(other, one) is True


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ({"pattern": r"^\d+$"}, {"pattern": r"^\d+$|x"}),
        ({"pattern": "^a+$"}, {"pattern": "^a*$"}),
        ({"pattern": "^[a-z]+$"}, {"pattern": "^[a-z]+$", "minLength": 0, "maxLength": 3} | {"pattern": "^[a-zé]+$"}),
        ({"maxLength": 5}, {"pattern": "^a{6}$"}),
        ({"pattern": "^.*$"}, {}),  # a dot is no line break
    ],
    ids=str,
)
def test_a_text_that_is_not_admitted_is_found(outer: dict[str, Any], inner: dict[str, Any]) -> None:
    assert texts_covered(outer, inner) is False


@pytest.mark.parametrize(
    "pattern",
    ["(?=a)b", "(?!a)b", r"(a)\1", r"\bword\b", r"\p{L}", "(", "a)", "[a", "*", "a{3,2}", "a{9999}", "[b-a]", "\\"],
)
def test_what_is_no_plain_regular_expression_is_not_decided(pattern: str) -> None:
    assert texts_covered({"pattern": pattern}, {"pattern": "^a$"}) is None


def test_a_question_that_would_take_for_ever_is_given_up() -> None:
    """The work is bounded: the automata of these patterns have millions of states between them."""
    began = time.process_time()
    assert texts_covered({"pattern": "(a|b)*a(a|b){40}$"}, {"pattern": "(a|b)*b(a|b){41}$"}) in {None, False}
    assert texts_covered({"pattern": "^(a|b)*a(a|b){40}$"}, {"pattern": "^(b|a)*a(b|a){40}$"}) is None
    assert time.process_time() - began < 60
