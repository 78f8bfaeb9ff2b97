"""Decide whether every text that one set of patterns and lengths admits is admitted by another. Pure, and bounded.

Patterns become automata whose states are explored side by side. Only regular expressions proper are read: what
else ECMA 262 has (look-around, back references, word boundaries, Unicode classes) makes the question undecided.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import Factory, define, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Ranges = tuple[tuple[int, int], ...]
States = frozenset[int]
Position = tuple[States, ...]

_LAST = 0x10FFFF
_MOST_STATES = 4_000
_MOST_WORK = 200_000  # states visited: a second
_DIGITS: Ranges = ((48, 57),)
_WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Ranges = (
    *((9, 13), (32, 32), (160, 160), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029)),
    *((0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
)
_LINE_ENDS: Ranges = ((10, 10), (13, 13), (0x2028, 0x2029))
# Each admits all that its format does, and more, for example days that no calendar has.
_DAY = r"^\d{4}-\d{2}-\d{2}"
_FORMATS = {
    "date": f"{_DAY}$",
    "date-time": rf"{_DAY}[Tt ]\d{{2}}:\d{{2}}:\d{{2}}(\.\d+)?([Zz]|[+-]\d{{2}}:\d{{2}})$",
    "uuid": "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
}
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_TIMES = re.compile(r"(?:(?P<sign>[*+?])|\{(?P<least>\d{1,4})(?P<comma>,(?P<most>\d{1,4})?)?\})\??", re.ASCII)
_GROUP = re.compile(r"(?!\?)|\?:|\?<[A-Za-z]\w*>", re.ASCII)
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0}


class UndecidedError(Exception):
    """The patterns are beyond what can be decided here, or would take too long."""


def texts_covered(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> bool | None:
    """Tell whether `outer` admits every text that `inner` does; None where that is not decided.

    Both are levels of a schema, of which `pattern`, `minLength` and `maxLength` are compared, given that every text
    is of the format of `inner`.
    """
    narrow = {key: value for key, value in outer.items() if key != "format"}
    try:
        is_covered = _covered(_Language.of(narrow), _Language.of(inner))
    except (UndecidedError, RecursionError):
        return None
    return is_covered or (None if "format" in inner else False)


@frozen
class _Language:
    """The texts of one level: those its pattern is found in, of a length within its bounds."""

    automata: tuple[_Automaton, ...]
    least: int
    most: int | None

    @classmethod
    def of(cls, level: Mapping[str, Any]) -> _Language:
        patterns = (level.get("pattern"), _FORMATS.get(level.get("format", "")))
        automata = tuple(_automaton(str(pattern)) for pattern in patterns if pattern is not None)
        most = level.get("maxLength")
        return cls(automata, int(level.get("minLength", 0)), None if most is None else int(most))

    def start(self) -> Position:
        return tuple(each.start() for each in self.automata)

    def step(self, position: Position, code: int) -> Position:
        return tuple(each.step(states, code) for each, states in zip(self.automata, position, strict=True))

    def admits(self, position: Position, length: int) -> bool:
        is_within = self.least <= length and (self.most is None or length <= self.most)
        return is_within and all(each.accepts(states) for each, states in zip(self.automata, position, strict=True))

    def is_over(self, position: Position, length: int) -> bool:
        """Tell whether no longer text is admitted, whatever comes."""
        return not all(position) or (self.most is not None and length >= self.most)


def _covered(outer: _Language, inner: _Language) -> bool:
    """Explore both languages together: is there a text of `inner` that is none of `outer`?"""
    codes = _representatives([*outer.automata, *inner.automata])
    # Lengths beyond every bound need not be told apart.
    longest = 1 + max(bound or 0 for each in (outer, inner) for bound in (each.least, each.most))
    start = (outer.start(), inner.start(), 0)
    seen, waiting = {start}, [start]
    work = 0
    while waiting and work < _MOST_WORK:
        wide, narrow, length = waiting.pop()
        if inner.admits(narrow, length) and not outer.admits(wide, length):
            return False
        if inner.is_over(narrow, length):
            continue
        for code in codes:
            work += 1 + sum(map(len, (*wide, *narrow)))
            following = outer.step(wide, code), inner.step(narrow, code), min(length + 1, longest)
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    if waiting:
        raise UndecidedError
    return True


def _representatives(automata: Iterable[_Automaton]) -> list[int]:
    """Return one character of each stretch that no automaton tells apart."""
    starts = {0}
    for automaton in automata:
        for edges in automaton.edges:
            for ranges, _ in edges:
                starts.update(code for low, high in ranges for code in (low, high + 1) if code <= _LAST)
    return sorted(starts)


@define
class _Automaton:
    """States with edges: on a character, on none, or on none at one end of the text only (`^`, `$`)."""

    edges: list[list[tuple[Ranges, int]]] = Factory(list)
    empty: list[list[tuple[str, int]]] = Factory(list)
    first: int = 0
    last: int = 0

    def state(self) -> int:
        if len(self.edges) >= _MOST_STATES:
            raise UndecidedError
        self.edges.append([])
        self.empty.append([])
        return len(self.edges) - 1

    def start(self) -> States:
        return self._closure({self.first}, {"", "^"})

    def step(self, states: States, code: int) -> States:
        if self.last in states:  # found: what follows changes nothing
            return states
        met = {to for state in states for ranges, to in self.edges[state] if _within(code, ranges)}
        return self._closure(met | {self.first}, {""})  # a pattern may begin at any character

    def accepts(self, states: States) -> bool:
        return self.last in states or self.last in self._closure(set(states), {"", "$"})

    def _closure(self, states: set[int], passable: set[str]) -> States:
        waiting = list(states)
        while waiting:
            for condition, to in self.empty[waiting.pop()]:
                if condition in passable and to not in states:
                    states.add(to)
                    waiting.append(to)
        return frozenset({self.last}) if self.last in states else frozenset(states)


@frozen
class _Characters:
    ranges: Ranges


@frozen
class _Anchor:
    sign: str


@frozen
class _Sequence:
    parts: tuple[_Node, ...]


@frozen
class _Choice:
    options: tuple[_Node, ...]


@frozen
class _Repeat:
    part: _Node
    least: int
    most: int | None


_Node = _Characters | _Anchor | _Sequence | _Choice | _Repeat


def _automaton(pattern: str) -> _Automaton:
    made = _Automaton()
    made.first = made.state()
    end = _built(made, _Parser(pattern).whole(), made.first)
    made.last = made.state()
    made.empty[end].append(("", made.last))
    return made


def _built(made: _Automaton, node: _Node, start: int) -> int:
    """Add the states of a node behind `start`, and return the state at its end."""
    if isinstance(node, _Sequence):
        for part in node.parts:
            start = _built(made, part, start)
        return start
    if isinstance(node, _Repeat):
        return _built_repeat(made, node, start)
    end = made.state()
    if isinstance(node, _Characters):
        made.edges[start].append((node.ranges, end))
    elif isinstance(node, _Anchor):
        made.empty[start].append((node.sign, end))
    else:
        for option in node.options:
            made.empty[_built(made, option, start)].append(("", end))
    return end


def _built_repeat(made: _Automaton, node: _Repeat, start: int) -> int:
    for _ in range(node.least):
        start = _built(made, node.part, start)
    end = made.state()
    made.empty[start].append(("", end))
    if node.most is None:
        loop = made.state()
        made.empty[start].append(("", loop))
        made.empty[_built(made, node.part, loop)] += [("", loop), ("", end)]
    else:
        for _ in range(node.most - node.least):
            start = _built(made, node.part, start)
            made.empty[start].append(("", end))
    return end


@define
class _Parser:
    """Reads a pattern in the syntax of ECMA 262."""

    text: str
    at: int = 0

    def whole(self) -> _Node:
        node = self._choice()
        if self.at < len(self.text):
            raise UndecidedError
        return node

    def _choice(self) -> _Node:
        options = [self._sequence()]
        while self._takes("|"):
            options.append(self._sequence())
        return _Choice(tuple(options))

    def _sequence(self) -> _Node:
        parts: list[_Node] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            part = self._part()
            parts.append(part if isinstance(part, _Anchor) else self._repeated(part))
        return _Sequence(tuple(parts))

    def _repeated(self, part: _Node) -> _Node:
        match = _TIMES.match(self.text, self.at)
        if match is None:
            return part
        self.at = match.end()
        if match["sign"]:
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[match["sign"]]
        else:
            least = int(match["least"])
            most = least if not match["comma"] else int(match["most"]) if match["most"] else None
        if most is not None and most < least:
            raise UndecidedError
        return _Repeat(part, least, most)

    def _part(self) -> _Node:
        sign = self._next()
        if sign in "^$":
            return _Anchor(sign)
        if sign == "(":
            return self._group()
        if sign == "[":
            return _Characters(self._class())
        if sign == ".":
            return _Characters(_complement(_LINE_ENDS))
        if sign == "\\":
            return _Characters(self._escaped())
        if sign in "*+?{}])":
            raise UndecidedError
        return _Characters(((ord(sign), ord(sign)),))

    def _group(self) -> _Node:
        opening = _GROUP.match(self.text, self.at)
        if opening is None:  # look-around
            raise UndecidedError
        self.at = opening.end()
        node = self._choice()
        if not self._takes(")"):
            raise UndecidedError
        return node

    def _class(self) -> Ranges:
        negated = self._takes("^")
        found: list[tuple[int, int]] = []
        while not self._takes("]"):
            low = self._member()
            is_range = self.text[self.at : self.at + 1] == "-" and self.text[self.at + 1 : self.at + 2] not in {"", "]"}
            if is_range and len(low) == 1 and low[0][0] == low[0][1]:
                self.at += 1
                high = self._member()
                if len(high) != 1 or high[0][0] != high[0][1] or high[0][0] < low[0][0]:
                    raise UndecidedError
                found.append((low[0][0], high[0][0]))
            else:
                found += low
        return _complement(tuple(found)) if negated else tuple(found)

    def _member(self) -> Ranges:
        sign = self._next()
        return self._escaped() if sign == "\\" else ((ord(sign), ord(sign)),)

    def _escaped(self) -> Ranges:
        sign = self._next()
        if sign.lower() in _CLASSES:
            ranges = _CLASSES[sign.lower()]
            return ranges if sign.islower() else _complement(ranges)
        if sign in _CONTROLS:
            return ((_CONTROLS[sign], _CONTROLS[sign]),)
        if sign.isascii() and sign.isalnum():  # back references, \b, \u, \p and the like
            raise UndecidedError
        return ((ord(sign), ord(sign)),)

    def _next(self) -> str:
        if self.at >= len(self.text):
            raise UndecidedError
        self.at += 1
        return self.text[self.at - 1]

    def _takes(self, sign: str) -> bool:
        taken = self.text.startswith(sign, self.at)
        self.at += len(sign) if taken else 0
        return taken


def _complement(ranges: Ranges) -> Ranges:
    gaps, next_code = [], 0
    for low, high in sorted(ranges):
        if low > next_code:
            gaps.append((next_code, low - 1))
        next_code = max(next_code, high + 1)
    return tuple([*gaps, (next_code, _LAST)] if next_code <= _LAST else gaps)


def _within(code: int, ranges: Ranges) -> bool:
    return any(low <= code <= high for low, high in ranges)
