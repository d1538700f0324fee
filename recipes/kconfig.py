# SPDX-License-Identifier: MIT
"""Kernel configuration fragments: read, merge, and check that every line survived.

A fragment is a file of `CONFIG_X=value` lines (`=n` and `# CONFIG_X is not set` mean the same) and comments.
Fragments are merged in order, the last one wins; what is asked of the kernel is what the winning lines say. Kconfig
drops a line without a word when a dependency is missing, so the result is compared with what was asked, and a
difference is an error that names fragment, line, and what Kconfig says of the symbol (recipes.kconfig_tree).

All functions are pure: text in, values and problems out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protopi.errors import Problem
from recipes.kconfig_tree import Tree, explain, symbols_of, unmet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SET = re.compile(r"CONFIG_(?P<symbol>[A-Za-z0-9_]+)=(?P<value>.*)")
_UNSET = re.compile(r"#\s*CONFIG_(?P<symbol>[A-Za-z0-9_]+) is not set")
_VALUE = re.compile(r'[ymn]|-?[0-9]+|0[xX][0-9a-fA-F]+|"(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of a fragment. `value` is as in a .config (`y`, `m`, `n`, a number, a quoted string)."""

    symbol: str
    value: str
    fragment: str
    line: int
    text: str

    @property
    def where(self) -> str:
        """FILE:LINE, for messages."""
        return f"{self.fragment}:{self.line}"


def parse_fragment(name: str, text: str) -> tuple[list[Setting], list[Problem]]:
    """Read a fragment; `name` is what messages call it.

    A line that is neither blank, nor a comment, nor a setting is a problem; so is a symbol that is set twice.
    """
    settings: dict[str, Setting] = {}
    problems: list[Problem] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        where = f"{name}:{number}"
        unset = _UNSET.fullmatch(line)
        if not unset and (not line or line.startswith("#")):
            continue
        match = unset or _SET.fullmatch(line)
        if match is None:
            hint = 'a line is CONFIG_NAME=y, =m, =n, =NUMBER or ="TEXT"'
            problems.append(Problem(f"not a kernel setting: `{line}`", where=where, hint=hint))
            continue
        symbol, value = match["symbol"], "n" if unset else match["value"]
        if not _VALUE.fullmatch(value):
            hint = 'y, m, n, a number, or text in "double quotes"; no comment behind it'
            problems.append(Problem(f"CONFIG_{symbol} has no valid value: `{value}`", where=where, hint=hint))
        elif symbol in settings:
            first = settings[symbol]
            problems.append(Problem(f"CONFIG_{symbol} is set twice, first in line {first.line}", where=where))
        else:
            settings[symbol] = Setting(symbol, value, name, number, line)
    return list(settings.values()), problems


def merge(fragments: Iterable[Sequence[Setting]]) -> dict[str, Setting]:
    """The winning line of each symbol: the last fragment that names it."""
    merged: dict[str, Setting] = {}
    for settings in fragments:
        for setting in settings:
            merged[setting.symbol] = setting
    return merged


def _line(symbol: str, value: str) -> str:
    """How a .config says it."""
    return f"# CONFIG_{symbol} is not set" if value == "n" else f"CONFIG_{symbol}={value}"


def render(merged: Mapping[str, Setting]) -> str:
    """The merged settings as a file for `make KCONFIG_ALLCONFIG=FILE allnoconfig`, sorted by symbol."""
    lines = []
    for symbol, setting in sorted(merged.items()):
        lines.append(_line(symbol, setting.value))
    return "\n".join(lines) + "\n"


def parse_config(text: str) -> dict[str, str]:
    """A .config as symbol -> value; symbols that are not set are absent."""
    config: dict[str, str] = {}
    for line in text.splitlines():
        if match := _SET.fullmatch(line.strip()):
            config[match["symbol"]] = match["value"]
    return config


def _same(asked: str, got: str) -> bool:
    """Whether two values mean the same (numbers may be written in different bases)."""
    if asked == got:
        return True
    try:
        return int(asked, 0) == int(got, 0)
    except ValueError:
        return False


def check(merged: Mapping[str, Setting], config: Mapping[str, str], tree: Tree) -> list[Problem]:
    """One problem for each asked line that `config` does not hold, in the order of fragment and line.

    A line that fell only because another one did is not listed, but counted with the one that it hangs on.
    """
    lost = {s.symbol: s for s in merged.values() if not _same(s.value, config.get(s.symbol, "n"))}
    hangs_on = {
        symbol: {name for _, term in unmet(tree, symbol, s.value, config) for name in symbols_of(term)} & lost.keys()
        for symbol, s in lost.items()
        if s.value != "n"
    }
    roots = [s for s in lost.values() if not hangs_on.get(s.symbol)] or list(lost.values())
    problems = []
    for setting in sorted(roots, key=lambda s: (s.fragment, s.line)):
        reasons = explain(tree, setting.symbol, setting.value, config)
        if fallen := sum(setting.symbol in names for names in hangs_on.values()):
            reasons.append(f"lines that fell with it: {fallen}")
        said = _line(setting.symbol, config.get(setting.symbol, "n"))
        message = f"`{setting.text}` did not survive: .config says `{said}`"
        problems.append(Problem(message, where=setting.where, hint="; ".join(reasons)))
    return problems
