# SPDX-License-Identifier: MIT
"""Objects of an earlier kernel build are laid out so that `make` sees what a patch changed, and nothing else."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from protopi.errors import StepError
from recipes import kernel_cache

if TYPE_CHECKING:
    from protopi.step import Context
    from tests.conftest import InTools

pytestmark = pytest.mark.image

SOURCES = {"Makefile": "all: a.o b.o\n%.o: %.c\n\techo compiled $@\n\tcp $< $@\n", "a.c": "a", "b.c": "b"}
OLD = 1_000_000_000


class Build:
    """A recipe's context with a tree, and `make` in it."""

    def __init__(self, work: Path, in_tools: InTools) -> None:
        self.work, self.in_tools = work, in_tools
        work.mkdir()
        self.tree = work / "linux"

    def run(self, argv: list[str | Path]) -> str:
        """In the tools tree, where the folder above this build's lies at /host/work."""
        base = os.fspath(self.work.parent)
        done = self.in_tools(
            [os.fspath(word).replace(base, "/host/work") for word in argv], self.work.parent, check=False
        )
        if done.returncode:
            raise StepError(done.stderr)
        return done.stdout

    def make(self, patches: dict[str, str], kept: Path) -> list[str]:
        """Unpack, patch, lay out, compile, keep; returns what was compiled."""
        self.tree.mkdir()
        for name, text in SOURCES.items():
            path = self.tree / name
            path.write_text(text)
            os.utime(path, (OLD, OLD))
        sources = kernel_cache.files(self.tree)
        for name, text in patches.items():
            (self.tree / name).write_text(text)
        patched = kernel_cache.digests(self.tree, patches)
        context = cast("Context", self)
        kernel_cache.restore(context, self.tree, kept, patched)
        said = self.run(["make", "-s", "-C", self.tree])
        kernel_cache.keep(context, self.tree, kept, patched, sources)
        return sorted(word for word in said.split() if word.endswith(".o"))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where objects are kept."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr(kernel_cache, "FOLDER", folder)
    path = kernel_cache.archive("1234", "product")
    assert path is not None
    return path


def test_only_what_a_patch_touches_is_compiled_again(tmp_path: Path, kept: Path, in_tools: InTools) -> None:
    steps: list[tuple[dict[str, str], list[str]]] = [
        ({}, ["a.o", "b.o"]),
        ({}, []),
        ({"a.c": "patched"}, ["a.o"]),
        ({"a.c": "patched"}, []),
        ({"a.c": "patched again"}, ["a.o"]),
        ({}, ["a.o"]),
        ({"b.c": "patched"}, ["b.o"]),
    ]
    for number, (patches, compiled) in enumerate(steps):
        build = Build(tmp_path / f"build{number}", in_tools)
        assert build.make(patches, kept) == compiled, number
        for name in ("a", "b"):
            assert (build.tree / f"{name}.o").read_text() == patches.get(f"{name}.c", name)
        time.sleep(0.02)  # objects must be older than the next build's patches


def test_objects_of_another_source_package_are_removed_and_a_killed_build_leaves_nothing(
    tmp_path: Path, kept: Path, in_tools: InTools
) -> None:
    other = kept.with_name(kept.name.replace("1234", "9999"))
    same = kept.with_name(kept.name.replace("product", "debug"))
    for path in (other, same, kept.with_name("0123.tmp")):
        path.write_text("x")
    Build(tmp_path / "build", in_tools).make({}, kept)
    assert {path.name for path in kept.parent.iterdir()} == {kept.name, same.name, "lock"}


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_archive_is_named_and_removed(tmp_path: Path, kept: Path, in_tools: InTools, damage: str) -> None:
    Build(tmp_path / "first", in_tools).make({}, kept)
    data = bytearray(kept.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 0x40
    kept.write_bytes(data if damage == "flipped" else data[: len(data) // 2])
    with pytest.raises(StepError, match="damaged and were removed"):
        Build(tmp_path / "second", in_tools).make({}, kept)
    assert Build(tmp_path / "third", in_tools).make({}, kept) == ["a.o", "b.o"]
