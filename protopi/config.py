# SPDX-License-Identifier: MIT
"""Reads YAML into frozen dataclasses; every problem is found in one pass and names file, line and key.

The dataclass is the schema: its annotations give type and checks, its defaults what may be left out. A node keeps
the file and line that it came from through `extends:`, so that a relative path means a path beside that file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import enum
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union

import yaml

from protopi.errors import Problem, UserError, UserErrors

T = TypeVar("T")


class Size(int):
    """A number of bytes; in YAML a number, or one with K, M, G (or KiB, MiB, GiB), powers of 1024."""


@dataclass(frozen=True, slots=True)
class Check:
    """An annotation: `test(value)` returns what was expected, or an empty text when the value will do.

    `secret`: the value is not shown.
    """

    test: Callable[[Any], str]
    secret: bool = False


class Merge(enum.Enum):
    """An annotation for fields that are not the user's to set."""

    NEVER = enum.auto()


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Node:
    """A YAML value with the place it came from: a scalar, a list of Nodes, or a mapping of key -> (Place, Node)."""

    value: Any
    place: Place

    @property
    def kind(self) -> str:
        """What a person calls this value."""
        if isinstance(self.value, dict):
            return "a mapping"
        if isinstance(self.value, list):
            return "a list"
        names = {bool: "true or false", int: "a number", float: "a number with a fraction", type(None): "nothing"}
        return names.get(type(self.value), "a text")


def parse(path: Path, problems: list[Problem]) -> Node | None:
    """Read a YAML file. What is wrong with it goes to `problems`; None when nothing can be made of it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(f"cannot be read: {error}", where=str(path)))
        return None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        problems.append(Problem("is nested too deeply", where=str(path)))
        return None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        problems.append(Problem(f"is not YAML: {what}", where=where, hint="check the indentation, colons and quotes"))
        return None
    if root is None:
        problems.append(Problem("is empty", where=str(path), hint="it needs at least `board:`"))
        return None
    return _node(root, path, problems, set())


def _node(raw: yaml.Node, path: Path, problems: list[Problem], seen: set[int]) -> Node:
    place = Place(path, raw.start_mark.line + 1)
    if id(raw) in seen:
        problems.append(Problem("an alias that contains itself", where=str(place)))
        return Node(None, place)
    inside = seen | {id(raw)}
    if isinstance(raw, yaml.MappingNode):
        entries: dict[str, tuple[Place, Node]] = {}
        for raw_key, raw_value in raw.value:
            key_place = Place(path, raw_key.start_mark.line + 1)
            if not isinstance(raw_key, yaml.ScalarNode):
                problems.append(Problem("a key must be a text", where=str(key_place)))
                continue
            key = str(raw_key.value)
            if key in entries:
                problems.append(
                    Problem("is there twice", where=str(key_place), key=key, hint=f"the first is at {entries[key][0]}")
                )
                continue
            entries[key] = (key_place, _node(raw_value, path, problems, inside))
        return Node(entries, place)
    if isinstance(raw, yaml.SequenceNode):
        return Node([_node(item, path, problems, inside) for item in raw.value], place)
    assert isinstance(raw, yaml.ScalarNode)
    tags = {"tag:yaml.org,2002:bool", "tag:yaml.org,2002:int", "tag:yaml.org,2002:null", "tag:yaml.org,2002:float"}
    if raw.tag in tags:
        try:
            return Node(yaml.SafeLoader("").construct_object(raw), place)
        except (ValueError, KeyError, yaml.YAMLError):
            tag = raw.tag.rpartition(":")[2]
            problems.append(Problem(f"`{_shown(raw.value)}` is not of the type !!{tag}", where=str(place)))
            return Node(None, place)
    return Node(str(raw.value), place)


def merge(base: Node, over: Node) -> Node:
    """`over` on top of `base`: mappings key by key, lists appended, anything else replaced."""
    if isinstance(base.value, dict) and isinstance(over.value, dict):
        merged = dict(base.value)
        for key, (place, node) in over.value.items():
            merged[key] = (place, merge(merged[key][1], node) if key in merged else node)
        return Node(merged, over.place)
    if isinstance(base.value, list) and isinstance(over.value, list):
        return Node([*base.value, *over.value], over.place)
    return over


#: The keys of one file, each with its place and value.
Layer = dict[str, tuple[Place, Node]]


def load_merged(
    path: Path,
    find: Callable[[str, Path], Path],
    problems: list[Problem],
    settle: Callable[[Layer, Layer], None] = lambda below, layer: None,
) -> Node | None:
    """Read `path` and, below it, what it extends; `find` turns an `extends:` value into a path or raises UserError.

    `settle(below, layer)` may change the merged layers below before a layer is laid on them.
    """
    chain: list[Path] = []
    layers: list[Node] = []
    current: Path | None = path
    while current is not None:
        if current in chain:
            loop = " -> ".join(p.name for p in [*chain, current])
            problems.append(Problem(f"extends itself: {loop}", where=str(path), key="extends"))
            return None
        chain.append(current)
        node = parse(current, problems)
        if node is None:
            return None
        if not isinstance(node.value, dict):
            problems.append(Problem(f"expected a mapping, found {node.kind}", where=str(node.place)))
            return None
        entries = dict(node.value)
        extends = entries.pop("extends", None)
        layers.append(Node(entries, node.place))
        current = None
        if extends is not None:
            place, value = extends
            if not isinstance(value.value, str):
                problems.append(Problem("expected the name of an image", where=str(place), key="extends"))
                return None
            try:
                current = find(value.value, chain[-1])
            except UserError as error:
                problems += [dataclasses.replace(p, where=str(place), key="extends") for p in error.problems]
                return None
    merged = layers[-1]
    for layer in reversed(layers[:-1]):
        settle(merged.value, layer.value)
        merged = merge(merged, layer)
    return merged


def suggest(word: str, known: typing.Iterable[str]) -> str:
    """A "did you mean" hint, or an empty text."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else ""


class _Refused(Exception):
    """A value could not be converted; the problem has been noted."""


def convert(node: Node, cls: type[T], problems: list[Problem], given: Mapping[str, Any]) -> T | None:
    """Turn a node into the dataclass `cls`. `given` sets the fields marked NEVER.

    What cannot be converted is noted in `problems` and left at its default, so that the rest can be checked further;
    None when a field without a default is missing.
    """
    try:
        return typing.cast(T, _dataclass(node, cls, "", problems, given))
    except _Refused:
        return None


def places(node: Node, key: str = "") -> dict[str, Place]:
    """Where each key stands, by its dotted name (`services.robot.user`, `packages[2]`)."""
    found: dict[str, Place] = {}
    if isinstance(node.value, dict):
        for name, (place, child) in node.value.items():
            dotted = f"{key}.{name}" if key else name
            found |= {dotted: place, **places(child, dotted)}
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            found |= {f"{key}[{index}]": child.place, **places(child, f"{key}[{index}]")}
    return found


def _refuse(problems: list[Problem], message: str, node: Node, key: str, hint: str = "") -> typing.NoReturn:
    problems.append(Problem(message, where=str(node.place), key=key, hint=hint))
    raise _Refused


def _dataclass(node: Node, cls: Any, key: str, problems: list[Problem], given: Mapping[str, Any]) -> Any:
    if not isinstance(node.value, dict):
        _refuse(problems, f"expected a mapping, found {node.kind}", node, key)
    hints = typing.get_type_hints(cls, include_extras=True)
    own = {name: hint for name, hint in hints.items() if Merge.NEVER not in getattr(hint, "__metadata__", ())}
    values: dict[str, Any] = dict(given)
    failed = False
    for name, (place, child) in node.value.items():
        dotted = f"{key}.{name}" if key else name
        if name not in own:
            known = "one of: " + ", ".join(sorted(own))
            problems.append(Problem("unknown key", where=str(place), key=dotted, hint=suggest(name, own) or known))
            continue
        with contextlib.suppress(_Refused):
            values[name] = _convert(child, own[name], dotted, problems)
    for spec in dataclasses.fields(cls):
        required = spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING
        if required and spec.name not in values:
            failed = True
            if spec.name not in node.value:
                dotted = f"{key}.{spec.name}" if key else spec.name
                problems.append(Problem("is missing", where=str(node.place), key=dotted))
    if failed:
        raise _Refused
    return cls(**values)


def _shown(value: Any) -> str:
    """A value on one line, at most 80 characters of it."""
    text = str(value)
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= 80 else text[:77] + "..."


def _convert(node: Node, hint: Any, key: str, problems: list[Problem]) -> Any:
    origin = typing.get_origin(hint)
    if origin is Annotated:
        base, *extras = typing.get_args(hint)
        value = _convert(node, base, key, problems)
        for extra in extras:
            if isinstance(extra, Check) and (expected := extra.test(value)):
                found = "" if extra.secret else f", found `{_shown(value)}`"
                _refuse(problems, f"expected {expected}{found}", node, key)
        return value
    if origin in (Union, types.UnionType):
        return _union(node, typing.get_args(hint), key, problems)
    if origin is Literal:
        allowed = typing.get_args(hint)
        if node.value not in allowed:
            words = ", ".join(map(str, allowed))
            _refuse(
                problems, f"expected one of {words}; found `{node.value}`", node, key, suggest(str(node.value), allowed)
            )
        return node.value
    if origin is tuple:
        if not isinstance(node.value, list):
            _refuse(problems, f"expected a list, found {node.kind}", node, key)
        return tuple(_each(node.value, typing.get_args(hint)[0], key, problems))
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(node, typing.get_args(hint), key, problems)
    if dataclasses.is_dataclass(hint):
        return _dataclass(node, hint, key, problems, {})
    return _scalar(node, hint, key, problems)


def _each(nodes: list[Node], hint: Any, key: str, problems: list[Problem]) -> list[Any]:
    """The items that can be converted; what is wrong with the others is in `problems`."""
    made = []
    for index, child in enumerate(nodes):
        with contextlib.suppress(_Refused):
            made.append(_convert(child, hint, f"{key}[{index}]", problems))
    return made


def _mapping(node: Node, hints: tuple[Any, ...], key: str, problems: list[Problem]) -> dict[str, Any]:
    if not isinstance(node.value, dict):
        _refuse(problems, f"expected a mapping, found {node.kind}", node, key)
    made = {}
    for name, (place, child) in node.value.items():
        dotted = f"{key}.{_shown(name)}"
        with contextlib.suppress(_Refused):
            value = _convert(child, hints[1], dotted, problems)
            made[_convert(Node(name, place), hints[0], dotted, problems)] = value
    return made


def _union(node: Node, options: tuple[Any, ...], key: str, problems: list[Problem]) -> Any:
    if node.value is None and type(None) in options:
        return None
    rest = [option for option in options if option is not type(None)]
    if len(rest) == 1:
        return _convert(node, rest[0], key, problems)
    if type(node.value) in rest:
        return node.value
    _refuse(problems, f"expected a text, a number or true/false, found {node.kind}", node, key)


def _scalar(node: Node, hint: Any, key: str, problems: list[Problem]) -> Any:
    value = node.value
    if hint is Size:
        return _size(node, key, problems)
    if hint is Path:
        if not isinstance(value, str) or not value:
            _refuse(problems, f"expected a path, found {node.kind}", node, key)
        try:
            path = node.place.file.parent / Path(value).expanduser()
            path.stat()
            return path.resolve(strict=True)
        except FileNotFoundError:
            _refuse(problems, f"there is no {path}", node, key, "paths are relative to the file that names them")
        except (OSError, RuntimeError, ValueError) as error:
            what = error.strerror if isinstance(error, OSError) else error
            _refuse(problems, f"the path `{_shown(value)}` cannot be used: {what}", node, key)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        wanted = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}[hint]
        plain = value is not None and not isinstance(value, (dict, list))
        quote = f'write it in quotes: "{value}"' if hint is str and plain else ""
        found = f"{node.kind} (`{value}`)" if plain else node.kind
        _refuse(problems, f"expected {wanted}, found {found}", node, key, quote)
    return value


def _size(node: Node, key: str, problems: list[Problem]) -> Size:
    if type(node.value) is int and node.value >= 0:
        return Size(node.value)
    match = re.fullmatch(r"(\d+)\s*([KMG])(i?B)?", str(node.value))
    if not match:
        _refuse(problems, f"expected a size, found `{node.value}`", node, key, "write bytes, or as 64M or 1G")
    return Size(int(match[1]) << {"K": 10, "M": 20, "G": 30}[match[2]])


def read(
    path: Path,
    cls: type[T],
    find: Callable[[str, Path], Path],
    given: Mapping[str, Any],
    check: Callable[[T, Mapping[str, Place], list[Problem]], T] = lambda made, places, problems: made,
    settle: Callable[[Layer, Layer], None] = lambda below, layer: None,
) -> T:
    """Read an image file (or another schema) with everything that it extends.

    `check` gets what could be converted and where each key stands; it adds to the problems and returns what is right.
    `settle`: see load_merged.
    Raises UserErrors with every problem at once.
    """
    problems: list[Problem] = []
    node = load_merged(path, find, problems, settle)
    made = convert(node, cls, problems, given) if node is not None else None
    if made is not None and node is not None:
        made = check(made, {"": node.place, **places(node)}, problems)
    if made is None or problems:
        raise UserErrors(problems)
    return made
