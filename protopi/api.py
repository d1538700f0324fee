# SPDX-License-Identifier: MIT
"""What commands and boot tests share: plan and build an image, and hand out what came of it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from protopi.builder import Builder, builder
from protopi.errors import InfraError
from protopi.image import Image
from protopi.lock import Lock
from protopi.plan import Planner, Step
from protopi.project import Project
from protopi.recipe import Recipe
from protopi.sandbox import Bind, Sandbox
from protopi.store import Store, default_store, write_atomic
from protopi.tools import TOOLS_SET
from protopi.ui import Ui

#: The recipe whose output is an image, the one that the harness needs beside it, and one that only a test builds.
IMAGE_RECIPE = "recipes.sdcard:SdCard"
PLUGIN_RECIPE = "recipes.qemu_plugin:QemuPlugin"
STOCK_RECIPE = "recipes.stock_kernel:StockKernel"


@dataclass(frozen=True, slots=True)
class Planned:
    """An image with its steps: `root` makes the image, `plugin` the harness's instruction counter."""

    image: Image
    lock: Lock
    steps: Sequence[Step]
    root: Step
    plugin: Step

    @property
    def roots(self) -> tuple[Step, Step]:
        """What has to be finished."""
        return self.root, self.plugin


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """A finished image: `folder` holds NAME.img and its companions, `plugin` the QEMU plug-in, `tools` the tree."""

    image: Image
    folder: Path
    plugin: Path
    tools: Sandbox
    key: str

    @property
    def disk(self) -> Path:
        """The SD image."""
        return self.folder / f"{self.image.name}.img"


class Session:
    """One command's view of the project, its store and what it says."""

    def __init__(self, project: Project, ui: Ui, *, jobs: int = 0, offline: bool = False) -> None:
        self.project, self.ui, self.jobs, self.offline = project, ui, jobs, offline
        self.store = Store(default_store(), ui.warn)

    def plan(self, word: str) -> Planned:
        """Plan an image by name or path. Raises UserErrors."""
        image = self.project.image(word)
        return self.plan_image(image)

    def plan_image(self, image: Image) -> Planned:
        """Plan a parsed image."""
        lock = self.project.lock(image)
        planner = Planner(self.project, lock)
        root, plugin = self.recipe(IMAGE_RECIPE, image), self.recipe(PLUGIN_RECIPE, image)
        steps = planner.plan(root, plugin)
        return Planned(image, lock, steps, planner.step(root), planner.step(plugin))

    def recipe(self, target: str, image: Image) -> Recipe:
        """An instance of a recipe class for an image."""
        cls = self.project.load(target)
        assert issubclass(cls, Recipe)
        return cls(image)

    @contextlib.contextmanager
    def builder(self) -> Iterator[Builder]:
        """A builder with this session's settings."""
        with builder(self.project, self.store, self.ui, jobs=self.jobs, offline=self.offline) as made:
            yield made

    def tools(self, planned: Planned, *binds: Bind, network: bool = False) -> Sandbox:
        """The tools tree as a place to run programs in. It must have been built."""
        step = planned.steps[0]
        entry = self.store.get(TOOLS_SET, step.key)
        if entry is None:
            raise InfraError("the tools tree is not built", hint="build an image first")
        return Sandbox(entry.out, binds, cwd="/", network=network)

    def build(self, planned: Planned) -> BuiltImage:
        """Build an image into the store (not into out/)."""
        with self.builder() as made:
            entries = made.build(planned.steps, planned.roots, planned.image.name)
        plugin = entries[planned.plugin.name].out / "protopi-count.so"
        folder = entries[planned.root.name].out
        return BuiltImage(planned.image, folder, plugin, self.tools(planned), planned.root.key)

    def publish(self, built: BuiltImage) -> Path:
        """Copy a finished image to out/NAME, whole files only; nothing is copied that is there already."""
        target = self.project.out / built.image.name
        target.mkdir(parents=True, exist_ok=True)
        stamp_path = target / ".from-store.json"
        try:
            stamp = json.loads(stamp_path.read_text())
        except (FileNotFoundError, ValueError):
            stamp = {}
        files = sorted(path for path in built.folder.iterdir() if path.is_file())
        fresh: dict[str, object] = {"key": built.key}
        for path in files:
            goal = target / path.name
            if stamp.get("key") != built.key or _times(goal) != stamp.get(path.name):
                _copy_sparse(path, goal)
            fresh[path.name] = _times(goal)
        if fresh != stamp:
            write_atomic(stamp_path, json.dumps(fresh).encode())
        return target


def _times(path: Path) -> list[int] | None:
    try:
        info = path.stat()
    except FileNotFoundError:
        return None
    return [info.st_size, info.st_mtime_ns, info.st_ino]


def _copy_sparse(source: Path, target: Path) -> None:
    """Copy a file without its holes, to a temporary name first."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with source.open("rb") as read, temporary.open("wb") as write:
            size, position = os.fstat(read.fileno()).st_size, 0
            write.truncate(size)
            while position < size:
                try:
                    start = os.lseek(read.fileno(), position, os.SEEK_DATA)
                except OSError:  # no data after this position
                    break
                position = os.lseek(read.fileno(), start, os.SEEK_HOLE)
                read.seek(start)
                write.seek(start)
                left = position - start
                while left:
                    chunk = read.read(min(left, 1 << 20))
                    write.write(chunk)
                    left -= len(chunk)
        shutil.copymode(source, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def build_image(name: str) -> BuiltImage:
    """Build (or take from the store) one of the project's images; for tests."""
    session = Session(Project.here(), Ui())
    return session.build(session.plan(name))
