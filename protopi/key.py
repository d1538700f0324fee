# SPDX-License-Identifier: MIT
"""The key of a recipe: the hash of everything that it declares and of its own code."""

from __future__ import annotations

import ast
import hashlib
import json
import stat
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from protopi.errors import UserError
from protopi.store import sha256_file

#: Changed when the engine itself changes what a build sees (mounts, environment).
KEY_FORMAT = 1
_PACKAGES = ("protopi", "recipes", "boards")


def key_of(inputs: Mapping[str, Any]) -> str:
    """The hash of an inputs document (JSON values), in hexadecimal."""
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def hash_files(project: Path, names: Iterable[str]) -> dict[str, str]:
    """Relative path -> "mode sha256" for every file at or below the names. Raises UserError for one that is missing."""
    found: dict[str, str] = {}
    for name in names:
        top = project / name
        if not top.exists():
            raise UserError(f"there is no {top}", hint="the project is incomplete: take the file back from git")
        paths = sorted(p for p in top.rglob("*") if p.is_file() or p.is_symlink()) if top.is_dir() else [top]
        for path in paths:
            if "__pycache__" not in path.parts:
                found[str(path.relative_to(project))] = hash_path(path)
    return found


def hash_path(path: Path) -> str:
    """ "mode sha256" of a file ("link TARGET" of a link): all that a build can see of it.

    Of the mode only the executable bit counts: git keeps no more, and umask must not change an image.
    """
    info = path.lstat()
    if stat.S_ISLNK(info.st_mode):
        return f"link {path.readlink()}"
    return f"{'755' if info.st_mode & 0o100 else '644'} {sha256_file(path)}"


def module_closure(project: Path, module: str) -> dict[str, str]:
    """Relative path -> sha256 of a module and every project module that it imports at its top level, transitively."""
    todo, found = [module], dict[str, str]()
    while todo:
        path = _module_path(project, todo.pop())
        if path is None:
            continue
        relative = str(path.relative_to(project))
        if relative in found:
            continue
        found[relative] = _hash_source(path)
        todo += _imports(path)
        package = path.parent / "__init__.py"
        if package != path and package.is_file():
            todo.append(".".join(package.parent.relative_to(project).parts))
    return dict(sorted(found.items()))


@cache
def _hash_source(path: Path) -> str:
    return sha256_file(path)


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """The project modules that a source file imports when it is loaded (not those under TYPE_CHECKING)."""
    names: list[str] = []
    for statement in ast.parse(path.read_text(encoding="utf-8"), filename=str(path)).body:
        if isinstance(statement, ast.Import):
            names += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            names.append(statement.module)
            names += [f"{statement.module}.{alias.name}" for alias in statement.names]
    return tuple(name for name in names if name.split(".")[0] in _PACKAGES)


def _module_path(project: Path, module: str) -> Path | None:
    base = project.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def explain(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> list[str]:
    """Which inputs differ between two inputs documents, a line each."""
    if old is None:
        return ["never built for this image in this store"]
    a, b = _flat(old), _flat(new)
    lines = []
    for name in sorted({*a, *b}):
        if name not in a:
            lines.append(f"{name}: new")
        elif name not in b:
            lines.append(f"{name}: gone")
        elif a[name] != b[name]:
            short = len(a[name]) < 40 and len(b[name]) < 40
            lines.append(f"{name}: {a[name]} -> {b[name]}" if short else f"{name}: changed")
    return lines


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    if isinstance(value, Mapping):
        flat: dict[str, str] = {}
        for name, item in value.items():
            flat.update(_flat(item, f"{prefix} {name}".strip()))
        return flat
    return {prefix: json.dumps(value)}
