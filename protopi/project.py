# SPDX-License-Identifier: MIT
"""The project on disk: where things are, and which recipes and boards there are."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

from protopi.errors import UserError
from protopi.image import BUILTIN_IMAGES, Image, load_image
from protopi.lock import Lock, read_lock

#: Lock sets that are no image's.
RESERVED_SETS = ("tools", "sources", "target")


@dataclass(frozen=True, slots=True)
class Project:
    """A checkout of the project at `root`."""

    root: Path

    @classmethod
    def here(cls) -> Project:
        """The checkout that this code is part of."""
        return cls(Path(__file__).resolve().parent.parent)

    @property
    def out(self) -> Path:
        """Where finished images are put."""
        return self.root / "out"

    @property
    def lock_path(self) -> Path:
        """The project's lock."""
        return self.root / "protopi.lock"

    def boards(self) -> list[str]:
        """The names that `board:` may have: the packages in boards/."""
        return sorted(path.parent.name for path in (self.root / "boards").glob("*/__init__.py"))

    def images(self) -> list[str]:
        """The names of the project's own images."""
        return sorted(path.stem for path in (self.root / BUILTIN_IMAGES).glob("*.yaml"))

    def image(self, word: str) -> Image:
        """Read an image by name or path. Raises UserErrors."""
        image = load_image(word, self.root, self.boards())
        if image.path.parent != self.root / BUILTIN_IMAGES:
            taken = [*RESERVED_SETS, *self.images()]
            if image.name in taken:
                raise UserError(
                    f"the name {image.name} is taken",
                    where=str(image.path),
                    hint=f"name the file differently; taken: {', '.join(taken)}",
                )
        return image

    def image_lock_path(self, image: Image) -> Path:
        """Where an image's packages are locked: protopi.lock for the project's own, NAME.lock beside a user's."""
        if image.path.parent == self.root / BUILTIN_IMAGES:
            return self.lock_path
        return image.path.with_suffix(".lock")

    def lock(self, image: Image | None = None) -> Lock:
        """The project's lock; for an image, with a set of the image's name.

        Images that ask for the same packages share a set, so a file that adds none needs no lock of its own. Raises
        UserError when a lock is damaged, or was made for other packages.
        """
        lock = read_lock(self.lock_path)
        if image is None:
            return lock
        path = self.image_lock_path(image)
        if path != self.lock_path and path.is_file():
            own = read_lock(path)
            lock = Lock(lock.epoch, {**lock.sets, **own.sets}, {**lock.wanted, **own.wanted})
        asked = set(image.packages)
        for name in (image.name, *sorted(lock.wanted)):
            if name in lock.sets and set(lock.wanted.get(name, ())) == asked:
                return Lock(lock.epoch, {**lock.sets, image.name: lock.sets[name]}, lock.wanted)
        nearest = max(lock.wanted.values(), key=lambda names: len(asked & set(names)), default=())
        before = set(lock.wanted.get(image.name, nearest))
        what = ", ".join([*(f"+{n}" for n in sorted(asked - before)), *(f"-{n}" for n in sorted(before - asked))])
        word = image.name if path == self.lock_path else str(image.path)
        raise UserError(
            f"the lock was made for other packages: {what}",
            where=str(image.path),
            key="packages",
            hint=f"run ./build.py lock --update {word}",
        )

    def load(self, target: str) -> type:
        """The class that "module:Class" names."""
        module, _, name = target.partition(":")
        found = getattr(importlib.import_module(module), name)
        assert isinstance(found, type)
        return found
