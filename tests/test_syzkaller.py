# SPDX-License-Identifier: MIT
"""mcp/syzkaller/dev_mcp.txt describes /dev/mcp as its header does.

syzkaller is written in Go and is no package of Debian's, so its own compiler is not run: a strict parser of the part of
its language that we use stands here (syzkaller's docs/syscall_descriptions_syntax.md). Each type that is named must be
defined, each structure must have the header's members at the header's offsets, each constant the header's value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import InTools

PROJECT = Path(__file__).parent.parent
HEADER = PROJECT / "mcp/include/uapi/linux/mcp.h"
DESCRIPTION = PROJECT / "mcp/syzkaller/dev_mcp.txt"
CONSTANTS = PROJECT / "mcp/syzkaller/dev_mcp.txt.const"
#: What syzkaller's other files define and ours uses.
OTHERS = {"fd": 4, "ring_ptr": 8, "sqes_ptr": 8}
OTHER_FLAGS = {"mmap_prot", "mmap_flags", "iosqe_flags"}
INTS = {"int8": 1, "int16": 2, "int32": 4, "int64": 8, "intptr": 8}
#: Our structures that are another view of one of the header's.
VIEWS = {"mcp_envelope_wait": "mcp_envelope", "mcp_frame_wait": "mcp_frame", "mcp_frame_out": "mcp_frame",
         "mcp_sqe": "io_uring_sqe"}  # fmt: skip
#: Ours alone.
OWN = {"mcp_slot_address"}
NAME = r"[A-Za-z_][A-Za-z0-9_]*"


class DescriptionError(Exception):
    """A line that is not of the language, or names what is not there."""


@dataclass
class Description:
    """What a description says. Members and arguments are pairs of a name and a type."""

    resources: dict[str, str] = field(default_factory=dict)
    flags: dict[str, list[str]] = field(default_factory=dict)
    structs: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    unions: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    calls: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    defines: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    constants: set[str] = field(default_factory=set)

    # -- reading --

    def constant(self, word: str) -> str:
        """Note a constant; a number is itself."""
        if re.fullmatch(NAME, word):
            self.constants.add(word)
        elif not re.fullmatch(r"0x[0-9a-f]+|\d+", word):
            raise DescriptionError(f"no constant: {word}")
        return word

    def read(self, text: str) -> None:
        """Take a whole description."""
        lines = iter(text.splitlines())
        for line in lines:
            if not line or line.startswith("#") or re.fullmatch(r"include <[\w/.]+>", line):
                continue
            if match := re.fullmatch(rf"resource ({NAME})\[({NAME})\](?:: (.+))?", line):
                self.resources[match[1]] = match[2]
                for word in (match[3] or "0").split(", "):
                    self.constant(word)
            elif match := re.fullmatch(rf"define ({NAME})\t(.+)", line):
                self.defines[match[1]] = match[2]
            elif match := re.fullmatch(rf"({NAME}) = (.+)", line):
                self.flags[match[1]] = match[2].split(", ")
                if '"' not in match[2]:
                    for word in self.flags[match[1]]:
                        self.constant(word)
            elif match := re.fullmatch(rf"({NAME}(?:\${NAME})?)\((.+)\)(?: ({NAME}))?", line):
                arguments = [tuple(one.split(" ", 1)) for one in split(match[2])]
                self.calls[match[1]] = [(name, kind) for name, kind in arguments]
                self.used |= {match[3]} if match[3] else set()
            elif match := re.fullmatch(rf"({NAME}) ([{{\[])", line):
                target = self.structs if match[2] == "{" else self.unions
                target[match[1]] = list(members(lines, "}" if match[2] == "{" else "]"))
            else:
                raise DescriptionError(f"not of the language: {line}")

    # -- sizes --

    def size(self, kind: str, among: dict[str, str], lengths: dict[str, int]) -> int:
        """Bytes of a type in a structure; `among`: the members beside it; `lengths`: values of constants."""
        match = re.fullmatch(rf"({NAME})(?:\[(.+)\])?", kind)
        if not match:
            raise DescriptionError(f"no type: {kind}")
        name, options = match[1], split(match[2]) if match[2] else []
        self.used.add(name)

        def value(word: str) -> int:
            self.constant(word)
            return lengths[word] if re.fullmatch(NAME, word) else int(word, 0)

        if name in INTS:
            for word in ":".join(options).split(":") if options else []:
                value(word)
            return INTS[name]
        if name == "const":
            self.constant(options[0])
            return INTS[options[1]]
        if name == "flags":
            self.used.add(options[0])
            if options[0] not in self.flags and options[0] not in OTHER_FLAGS:
                raise DescriptionError(f"no flags: {options[0]}")
            return INTS[options[1]]
        if name in ("len", "bytesize"):
            if options[0] != "parent" and options[0] not in among:
                raise DescriptionError(f"{name} of what is not beside it: {options[0]}")
            return INTS[options[1]]
        if name == "ptr64":
            if options[0] not in ("in", "out", "inout"):
                raise DescriptionError(f"no direction: {options[0]}")
            self.size(options[1], among, lengths)
            return 8
        if name == "array":
            each = self.size(options[0], among, lengths)
            if len(options) == 1 or ":" in options[1]:
                for word in options[1].split(":") if len(options) > 1 else []:
                    value(word)
                return 0  # of any length: only behind a pointer
            return each * value(options[1])
        if name == "string":
            self.used.add(options[0])
            if options[0] not in self.flags:
                raise DescriptionError(f"no strings: {options[0]}")
            return value(options[1])
        if name in self.resources:
            base = self.resources[name]
            return INTS.get(base) or OTHERS.get(base) or self.size(base, {}, lengths)
        if name in OTHERS:
            return OTHERS[name]
        if name in self.structs:
            return self.layout(name, lengths)[-1][1]
        if name in self.unions:
            return max(self.size(kind, {}, lengths) for _, kind in self.unions[name])
        raise DescriptionError(f"no type is called {name}")

    def layout(self, name: str, lengths: dict[str, int]) -> list[tuple[str, int]]:
        """Members of a structure with their offsets; last its size. All are aligned by hand, as the header's are."""
        among, at, found = dict(self.structs[name]), 0, []
        for member, kind in self.structs[name]:
            found.append((member, at))
            at += self.size(kind, among, lengths)
        return [*found, ("", at)]


def split(text: str) -> list[str]:
    """Words at commas that are in no brackets."""
    words, depth, start = [], 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0:
            words.append(text[start:at].strip())
            start = at + 1
    if depth:
        raise DescriptionError(f"brackets: {text}")
    return [*words, text[start:].strip()]


def members(lines: object, end: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for line in lines:  # type: ignore[attr-defined]
        if line == end:
            if not found:
                break
            return found
        match = re.fullmatch(rf"\t({NAME})\t+(\S.*?)(?:\t+\((?:in|out|inout)\))?", line)
        if not match:
            raise DescriptionError(f"no member: {line}")
        found.append((match[1], match[2]))
    raise DescriptionError("a structure does not end, or is empty")


def described(text: str | None = None) -> Description:
    description = Description()
    description.read(DESCRIPTION.read_text() if text is None else text)
    return description


def constants() -> dict[str, int]:
    lines = CONSTANTS.read_text().splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    assert lines[0] == "arches = amd64, arm64"
    pairs = [line.split(" = ") for line in lines[1:]]
    assert pairs == sorted(pairs)
    return {name: int(value) for name, value in pairs}


def check(description: Description, lengths: dict[str, int]) -> None:
    """Every type is defined and used, every constant is known. Raises DescriptionError."""
    try:
        for name in description.structs:
            description.layout(name, lengths)
        for name, options in description.unions.items():
            if len({description.size(kind, {}, lengths) for _, kind in options}) != 1:
                raise DescriptionError(f"the views of {name} differ in size")
        for call, arguments in description.calls.items():
            among = dict(arguments)
            for _, kind in arguments:
                if kind.startswith("ptr["):
                    inner = split(kind[4:-1])[1]
                    if not re.fullmatch(r'string\["[^"]*"\]', inner):
                        description.size(inner, among, lengths)
                elif kind == "vma" or re.fullmatch(r"len\[\w+\]", kind):
                    continue
                elif match := re.fullmatch(r"const\[(\w+)\]", kind):
                    description.constant(match[1])
                elif match := re.fullmatch(r"flags\[(\w+)\]", kind):
                    description.used.add(match[1])
                    if match[1] not in description.flags and match[1] not in OTHER_FLAGS:
                        raise DescriptionError(f"{call}: no flags {match[1]}")
                else:
                    description.size(kind, among, lengths)
    except KeyError as error:
        raise DescriptionError(f"no constant is called {error}") from error
    defined = {*description.resources, *description.flags, *description.structs, *description.unions}
    if idle := defined - description.used:
        raise DescriptionError(f"defined and not used: {sorted(idle)}")


def test_it_is_complete_in_itself() -> None:
    judge(DESCRIPTION.read_text())


def judge(text: str) -> None:
    """All that needs no compiler. Raises DescriptionError."""
    description, known = described(text), constants()
    check(description, known)
    if other := (description.constants | set(description.defines)) ^ set(known):
        raise DescriptionError(f"in one of the two files only: {sorted(other)}")


BROKEN = {
    "an unknown type": ("arg mcp_slot)", "arg mcp_slit)"),
    "an unknown structure": ("arg ptr[inout, mcp_peer])", "arg ptr[inout, mcp_pier])"),
    "an unknown constant": ("const[MCP_MAGIC, int32]", "const[MCP_MAGICK, int32]"),
    "unknown flags": ("flags[mcp_pin_flags, int32]", "flags[mcp_pun_flags, int32]"),
    "a length of nothing": ("len[pins, int32]", "len[pills, int32]"),
    "an open bracket": ("array[const[0, int64], 2]", "array[const[0, int64, 2]"),
    "a line of another language": ("resource fd_mcp[fd]", "resources fd_mcp[fd]"),
    "what nobody uses": ("mcp_pin_flags = ", "mcp_more_flags = 1\nmcp_pin_flags = "),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_is_seen(fault: str) -> None:
    old, new = BROKEN[fault]
    text = DESCRIPTION.read_text()
    assert old in text
    with pytest.raises(DescriptionError):
        judge(text.replace(old, new, 1))


def test_every_call_command_and_flag_of_the_header_is_in_it() -> None:
    words = set(re.findall(NAME, DESCRIPTION.read_text()))
    header = HEADER.read_text()
    kinds = r"IOC_(?!IN\b|INOUT\b|MAGIC\b)|CMD_|ARENA_TAKES|SERVE_(?!SIZE)|TOOL_(?!ID)|RIGHT_|PIN_(?!SIZE)|F_"
    wanted = re.findall(rf"^#define (MCP_(?:{kinds})\w*)", header, re.MULTILINE)
    assert len(wanted) >= 30
    assert [name for name in wanted if name not in words] == []
    structs = set(re.findall(r"^struct (mcp_\w+) \{$", header, re.MULTILINE))
    assert structs == set(described().structs) - set(VIEWS) - OWN


@pytest.mark.image
@pytest.mark.parametrize("compiler", ["gcc", "aarch64-linux-gnu-gcc"])
def test_it_is_the_header_s(in_tools: InTools, tmp_path: Path, compiler: str) -> None:
    """The compiler says whether each constant, offset and size of the description is the header's."""
    description, known = described(), constants()
    source = ["#define _GNU_SOURCE", "#include <stddef.h>", "#include <fcntl.h>", "#include <linux/io_uring.h>",
              "#include <linux/mcp.h>"]  # fmt: skip
    source += [f"#define {name} {text}" for name, text in description.defines.items()]

    def same(what: str, wanted: int) -> None:
        source.append(f'_Static_assert((unsigned long long)({what}) == {wanted}ULL, "{what}");')

    for name, value in known.items():
        same(name, value)
    for name in description.structs:
        if name in OWN:
            continue
        struct = VIEWS.get(name, name)
        *found, (_, size) = description.layout(name, known)
        same(f"sizeof(struct {struct})", size)
        for member, at in found:
            same(f"offsetof(struct {struct}, {member})", at)

    def compiles() -> bool:
        (tmp_path / "all.c").write_text("\n".join(source) + "\n")
        command = [compiler, "-std=gnu17", "-fsyntax-only", "-I/host/project/mcp/include/uapi", "all.c"]
        done = in_tools([*command], tmp_path, check=False)
        assert done.returncode == 0 or "static assertion failed" in done.stderr, done.stderr
        return done.returncode == 0

    assert len(source) > 200
    assert compiles()
    same("MCP_MAGIC", 0)
    assert not compiles()
