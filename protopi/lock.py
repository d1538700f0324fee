# SPDX-License-Identifier: MIT
"""protopi.lock: every Debian package that goes into a build, by name, version, size and sha256.

The file is JSON with one package a line, so that a difference reads well. It names no mirror: `path` is relative to
an archive, and whoever fetches it decides by hash alone whether the right file came.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from protopi.config import suggest
from protopi.errors import UserError
from protopi.store import write_atomic

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Locked:
    """One package: `size` in bytes, `path` below an archive's root (pool/main/...)."""

    name: str
    version: str
    architecture: str
    size: int
    sha256: str
    path: str

    @property
    def file(self) -> str:
        """The file's name."""
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Lock:
    """Sets of packages by name ("tools", "sources", an image's name).

    epoch   SOURCE_DATE_EPOCH of everything that is built (seconds since 1970): the day of the last update
    wanted  what each set was resolved from, so that a changed image file is noticed
    """

    epoch: int
    sets: Mapping[str, Mapping[str, Locked]]
    wanted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def get(self, lock_set: str, names: Iterable[str] = ("*",)) -> list[Locked]:
        """Packages of a set, sorted by name; "*" is all of them. Raises UserError for what is not locked."""
        if lock_set not in self.sets:
            raise UserError(
                f"the lock has no packages for `{lock_set}`",
                hint=f"run ./build.py lock --update {lock_set}",
            )
        known = self.sets[lock_set]
        chosen: dict[str, Locked] = {}
        for name in names:
            if name == "*":
                chosen.update(known)
            elif name in known:
                chosen[name] = known[name]
            else:
                raise UserError(
                    f"package {name} is not in the lock's set `{lock_set}`",
                    hint=suggest(name, known) or f"run ./build.py lock --update {lock_set}",
                )
        return [chosen[name] for name in sorted(chosen)]

    @property
    def age_days(self) -> int:
        """Days since the last update."""
        now = datetime.datetime.now(datetime.UTC).timestamp()
        return max(0, int((now - self.epoch) // 86400))


def read_lock(path: Path) -> Lock:
    """Read and check a lock file. Raises UserError, naming the line, for anything that is not one."""
    hint = "take it back from version control, or make a new one: ./build.py lock --update"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError("there is no lock", where=str(path), hint="run ./build.py lock --update") from None
    except json.JSONDecodeError as error:
        raise UserError(f"is not a lock: {error.msg}", where=f"{path}:{error.lineno}", hint=hint) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise UserError(f"is not a lock of format {FORMAT}", where=str(path), hint=hint)
    try:
        sets = {name: {row[0]: _locked(row) for row in rows} for name, rows in data["sets"].items()}
        wanted = {name: tuple(names) for name, names in data["wanted"].items()}
        return Lock(epoch=int(data["epoch"]), sets=sets, wanted=wanted)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(f"is damaged: {error}", where=str(path), hint=hint) from None


def _locked(row: list[str | int]) -> Locked:
    name, version, architecture, size, sha256, path = row
    entry = Locked(str(name), str(version), str(architecture), int(size), str(sha256), str(path))
    if not re.fullmatch(r"[0-9a-f]{64}", entry.sha256):
        raise ValueError(f"the sha256 of {entry.name} is not one")
    if not re.fullmatch(r"pool/[\w/.+~%:-]+\.deb", entry.path) or ".." in entry.path:
        raise ValueError(f"the path of {entry.name} is not one of a package")
    return entry


def write_lock(path: Path, lock: Lock) -> None:
    """Write a lock file, one package a line."""
    lines = ["{", f'"format": {FORMAT},', f'"epoch": {lock.epoch},', '"wanted": {']
    wanted = [f"{json.dumps(name)}: {json.dumps(list(names))}" for name, names in sorted(lock.wanted.items())]
    lines += [",\n".join(wanted), "},", '"sets": {']
    blocks = []
    for name, packages in sorted(lock.sets.items()):
        rows = [
            json.dumps([p.name, p.version, p.architecture, p.size, p.sha256, p.path])
            for p in sorted(packages.values(), key=lambda p: p.name)
        ]
        blocks.append(f"{json.dumps(name)}: [\n" + ",\n".join(rows) + "\n]")
    lines += [",\n".join(blocks), "}", "}", ""]
    write_atomic(path, "\n".join(lines).encode())


def difference(old: Lock | None, new: Lock) -> list[str]:
    """What moved, one line a package."""
    lines = []
    before = old.sets if old else {}
    for name in sorted({*before, *new.sets}):
        a, b = before.get(name, {}), new.sets.get(name, {})
        for package in sorted({*a, *b}):
            if package not in a:
                lines.append(f"{name}: + {package} {b[package].version}")
            elif package not in b:
                lines.append(f"{name}: - {package} {a[package].version}")
            elif a[package].sha256 != b[package].sha256:
                lines.append(f"{name}: {package} {a[package].version} -> {b[package].version}")
    return lines
