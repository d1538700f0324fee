# SPDX-License-Identifier: MIT
"""Sets single values in a YAML file that a person wrote: comments, order and all other lines stay as they are.

A YAML writer would lose the comments. So PyYAML says where a value stands, the text is changed there and nowhere else,
and the result is read again: it must say what it said before, but for the new values, or nothing is written.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from protopi.errors import UserError

Scalar = str | int


def set_values(text: str, values: Mapping[str, Scalar]) -> str:
    """`text` with each dotted key set. Raises UserError when the text's shape does not allow it."""
    for key, value in values.items():
        wanted = _with(_plain(text), key.split("."), str(value))
        changed = _set(text, key, value)
        if _plain(changed) != wanted:
            raise UserError("cannot be set in place", key=key, hint=f"write it yourself: {_scalar(value)}")
        text = changed
    return text


def changed(path: Path, values: Mapping[str, Scalar]) -> str:
    """The text of a file with values set; nothing is written. Raises UserError, with the file's name."""
    try:
        return set_values(path.read_text(encoding="utf-8"), values)
    except UserError as error:
        problem = error.problems[0]
        raise UserError(problem.message, where=str(path), key=problem.key, hint=problem.hint) from error


def update_file(path: Path, values: Mapping[str, Scalar]) -> None:
    """Set values in a file: whoever reads it sees all of the old or all of the new, also after a power cut.

    Raises UserError when the text cannot be changed in place, OSError when the file cannot be written.
    """
    target = path.resolve(strict=True)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Two commands that note different things about one board must not lose each other's.
        fcntl.flock(folder, fcntl.LOCK_EX)
        text = changed(target, values)
        made, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with open(made, "w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fchmod(made, stat.S_IMODE(target.stat().st_mode))
                os.fsync(made)
            os.replace(name, target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise
        os.fsync(folder)
    finally:
        os.close(folder)


def _plain(text: str) -> Any:
    """What a text says, all scalars as they are written."""
    try:
        return yaml.load(text, Loader=yaml.BaseLoader) or {}
    except yaml.YAMLError as error:
        raise UserError(f"is not YAML: {getattr(error, 'problem', None) or 'it cannot be read'}") from error


def _with(said: Any, words: list[str], value: str) -> Any:
    """`said` with one value set; a mapping that is missing or empty is made."""
    if not isinstance(said, dict):
        said = {}
    rest = _with(said.get(words[0]), words[1:], value) if len(words) > 1 else value
    return {**said, words[0]: rest}


def _scalar(value: Scalar) -> str:
    """A value as YAML: in quotes, unless it can only be read as it is meant."""
    if isinstance(value, int) or re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}|\d{4}-\d\d-\d\d", value):
        return str(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _set(text: str, key: str, value: Scalar) -> str:
    root = yaml.compose(text, Loader=yaml.BaseLoader)
    words = key.split(".")
    if root is None:
        return _append(text, words, value)
    if not isinstance(root, yaml.MappingNode):
        raise UserError("expected a mapping", key=key)
    here, left = root, words
    while True:
        entry = next((pair for pair in here.value if pair[0].value == left[0]), None)
        if entry is None:
            return _insert(text, here, here is root, left, value)
        name, node = entry
        if node.start_mark.index < name.end_mark.index:
            raise UserError("is an alias of another value", key=key, hint="write the value itself there")
        if len(left) == 1:
            tail = "" if node.end_mark.index > node.start_mark.index else " "
            return text[: node.start_mark.index] + tail + _scalar(value) + text[node.end_mark.index :]
        left = left[1:]
        if isinstance(node, yaml.MappingNode):
            here = node
        elif isinstance(node, yaml.ScalarNode) and node.start_mark.index == node.end_mark.index:
            return _below(text, name.end_mark.line, name.start_mark.column + 2, left, value)
        else:
            raise UserError("expected a mapping", key=key)


def _insert(text: str, mapping: yaml.MappingNode, top: bool, words: list[str], value: Scalar) -> str:
    """Put a new key first into a mapping that has others, or last into the file."""
    if mapping.flow_style:
        start = mapping.start_mark.index + 1
        inner = _scalar(value)
        for word in reversed(words[1:]):
            inner = f"{{{word}: {inner}}}"
        return f"{text[:start]}{words[0]}: {inner}{', ' if mapping.value else ''}{text[start:]}"
    if top:
        return _append(text, words, value)
    first = mapping.value[0][0]
    return _below(text, first.start_mark.line - 1, first.start_mark.column, words, value)


def _below(text: str, line: int, column: int, words: list[str], value: Scalar) -> str:
    """Put lines below line number `line` (from 0)."""
    lines = text.splitlines(keepends=True)
    if lines and not lines[line].endswith("\n"):
        lines[line] += "\n"
    return "".join([*lines[: line + 1], _lines(words, value, column), *lines[line + 1 :]])


def _append(text: str, words: list[str], value: Scalar) -> str:
    ending = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{ending}{_lines(words, value, 0)}"


def _lines(words: list[str], value: Scalar, column: int) -> str:
    """`a:`, `b: value` below each other, each two columns further in."""
    made = ""
    for depth, word in enumerate(words):
        last = depth == len(words) - 1
        made += " " * (column + 2 * depth) + word + ":" + (f" {_scalar(value)}" if last else "") + "\n"
    return made
