# SPDX-License-Identifier: MIT
"""The Raspberry Pi's config.txt and autoboot.txt: their lines, their conditional sections, the keys a firmware knows.

Source: Raspberry Pi documentation, "config.txt": "What is config.txt?" (file format, include), "Conditional filters".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protopi.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: "There is a 98-character line length limit ... any characters past this limit will be ignored."
MAX_LINE = 98
#: Which sections each board model sees ("Model filters"; a derived model also sees its parent's sections).
MODEL_SECTIONS = {
    "4b": frozenset({"pi4", "board-type=0x11"}),
    "400": frozenset({"pi4", "pi400", "board-type=0x13"}),
    "cm4": frozenset({"pi4", "cm4", "board-type=0x14"}),
    "cm4s": frozenset({"pi4", "cm4s", "board-type=0x15"}),
}
#: The firmware reads an included file's name with "%64s": up to the first blank, 64 characters of it.
MAX_INCLUDE_NAME, MAX_INCLUDE_DEPTH = 64, 8
_MODELS = re.compile(r"(pi(0|0w|02|1|2|3|3\+|4|400|5|500)|cm(0|1|3|3\+|4|4s|5)|board-type=0x[0-9a-fA-F]+)$")
_DIRECTIVES = ("include", "initramfs")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting that applies: key, value, and where it stands ("config.txt:12")."""

    key: str
    value: str
    where: str


@dataclass(slots=True)
class _Filters:
    """The filters in force: filters of one type replace each other, those of different types combine."""

    model: str
    tryboot: bool
    allowed: frozenset[str] | None
    state: dict[str, bool] = field(default_factory=dict)

    def enter(self, name: str, where: str) -> None:
        if self.allowed is not None and name not in self.allowed:
            raise UserError(f"the section [{name}] means nothing here", where=where)
        if name == "all":
            self.state = {}
        elif name == "none":
            self.state["none"] = False
        elif name == "tryboot":
            self.state["tryboot"] = self.tryboot
        elif _MODELS.match(name):
            self.state["model"] = name.lower() in MODEL_SECTIONS[self.model]
        elif re.match(r"HDMI:[01]$", name):
            pass  # chooses a port for the keys that follow; nothing is switched off by it
        elif re.match(r"(EDID=.+|gpio\d+=[01]|0x[0-9a-fA-F]+)$", name):
            # No monitor, no pulled pins and no serial number: the filter fails, as it does on a bare board.
            self.state[re.split(r"[=\dx]", name)[0] or "serial"] = False
        elif re.match(r"(boot_)?partition=|boot_(count|arg1)\b|bootvar0\b", name):
            # Newer firmware compares boot variables (raspberrypi/documentation#4100, #4106); [partition=N] is for the
            # EEPROM's own file on a Pi 4 (#4037). In the firmware that we ship there is no such word.
            raise UserError(f"the shipped firmware does not know [{name}]: it came in 2025", where=where)
        else:
            raise UserError(f"the firmware knows no section [{name}]", where=where)

    @property
    def apply(self) -> bool:
        return all(self.state.values())


def settings(
    text: str,
    *,
    name: str = "config.txt",
    model: str = "4b",
    tryboot: bool = False,
    sections: Iterable[str] | None = None,
    include: Callable[[str], str] | None = None,
) -> list[Setting]:
    """The settings that apply on `model`, in order (a later one wins where only one value counts).

    `sections` limits the section names that are known (autoboot.txt: all, none, tryboot). `include` gives the text of
    an included file; without it the directive is refused. Raises UserError for what the firmware would misread.
    """
    filters = _Filters(model, tryboot, None if sections is None else frozenset(sections))
    return list(_walk(text, name, filters, include, 0))


def _walk(
    text: str, name: str, filters: _Filters, include: Callable[[str], str] | None, depth: int
) -> Iterator[Setting]:
    for number, raw in enumerate(text.splitlines(), 1):
        where = f"{name}:{number}"
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if len(raw) > MAX_LINE:
            raise UserError(f"{len(raw)} characters: the firmware reads {MAX_LINE} of a line", where=where)
        if line.startswith("["):
            if not line.endswith("]"):
                raise UserError("a section that does not end in ]", where=where)
            filters.enter(line[1:-1], where)
            continue
        if not filters.apply:
            continue
        word, _, rest = line.partition(" ")
        if word == "include" and "=" not in word:
            if include is None:
                raise UserError("include is not known here", where=where)
            other = rest.strip()
            if not other or " " in other or len(other) > MAX_INCLUDE_NAME:
                raise UserError(f"include takes one name of at most {MAX_INCLUDE_NAME} characters", where=where)
            if depth >= MAX_INCLUDE_DEPTH:
                raise UserError("files that include each other", where=where)
            yield from _walk(include(other), other, filters, include, depth + 1)
        elif word == "initramfs":
            yield Setting("initramfs", rest.strip(), where)
        else:
            key, equals, value = line.partition("=")
            if not equals or not key or key != key.strip() or value != value.lstrip():
                raise UserError("not of the form key=value without blanks", where=where)
            yield Setting(key, value, where)


def keys(text: str) -> list[tuple[str, str]]:
    """Every key that stands in a config.txt, in any section, with its place: what a firmware has to know."""
    found: list[tuple[str, str]] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#[":
            continue
        word = line.split(" ", 1)[0]
        key = word if word in _DIRECTIVES else line.partition("=")[0]
        found.append((key.partition(":")[0], f"config.txt:{number}"))
    return found


def unknown_keys(text: str, firmware: bytes) -> list[tuple[str, str]]:
    """The keys of a config.txt (with their places) that do not occur in a start*.elf as a string of their own.

    The firmware compares whole keys, so each key it knows is in it between two NUL bytes.
    """
    return [(key, where) for key, where in keys(text) if b"\0" + key.encode() + b"\0" not in firmware]
