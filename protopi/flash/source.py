# SPDX-License-Identifier: MIT
"""What is to be on the card: an image's mapped ranges, with what this card alone gets (provisioning) laid over.

The image file is only ever read.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from protopi.bmap import BLOCK
from protopi.errors import UserError
from protopi.flash import blockmap
from protopi.flash.blockmap import BlockMap, Range
from protopi.flash.target import buffer
from protopi.mbr import SECTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

#: Bytes in one piece: what is read, written and hashed at once. Erase blocks of cards are 4 MiB at most.
PIECE = 4 << 20


class Patch(Protocol):
    """A file whose bytes replace the image's from `offset` on (protopi.provision makes them)."""

    @property
    def offset(self) -> int:
        """Where it begins on the card."""

    @property
    def path(self) -> Path:
        """The file; all of it counts."""


@dataclass(frozen=True, slots=True)
class _Laid:
    """A patch that is open."""

    offset: int
    length: int
    path: Path
    descriptor: int


class Source:
    """An image and what is laid over it. Use as a context manager.

    `ranges` are the bytes that have to be written, merged and in order; `total` their number; `mapped` whether the
    image came with a block map. Raises UserError for an image that cannot be meant.
    """

    def __init__(self, image: Path, patches: Sequence[Patch] = ()) -> None:
        self.image = image
        try:
            self._descriptor = os.open(image, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UserError(f"{image} cannot be read: {error.strerror}") from error
        self._laid: list[_Laid] = []
        try:
            self.size = os.fstat(self._descriptor).st_size
            self.map_path = image.with_suffix(".bmap")
            self.mapped = self.map_path.is_file()
            self.map = blockmap.load(self.map_path) if self.mapped else blockmap.whole(self.size)
            self._check(self.map)
            for patch in patches:
                self._lay(patch)
        except BaseException:
            self.close()
            raise
        self.ranges = merged([*self.map.ranges, *(Range(laid.offset, laid.length) for laid in self._laid)])
        self.total = sum(one.length for one in self.ranges)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the image and what is laid over it."""
        for descriptor in (self._descriptor, *(laid.descriptor for laid in self._laid)):
            os.close(descriptor)
        self._laid = []

    def _check(self, block_map: BlockMap) -> None:
        if block_map.size != self.size:
            raise UserError(
                f"{self.image.name} has {self.size} bytes, its block map says {block_map.size}",
                where=str(self.map_path),
                hint="build the image again, or put the map that belongs to it beside it",
            )
        if not self.size or self.size % BLOCK:
            raise UserError(f"{self.image} has {self.size} bytes: no SD image", hint="give an uncompressed .img")
        if os.pread(self._descriptor, 2, SECTOR - 2) != b"\x55\xaa" or block_map.ranges[0].offset:
            raise UserError(f"{self.image} has no partition table: no SD image", hint="give an uncompressed .img")

    def _lay(self, patch: Patch) -> None:
        descriptor = os.open(patch.path, os.O_RDONLY | os.O_CLOEXEC)
        length = os.fstat(descriptor).st_size
        self._laid.append(_Laid(patch.offset, length, patch.path, descriptor))
        if not length or patch.offset < BLOCK or patch.offset % BLOCK or length % BLOCK:
            raise ValueError(f"{patch.path}: {length} bytes at {patch.offset} cannot be laid over the image")
        if patch.offset + length > self.size:
            raise ValueError(f"{patch.path} ends behind the image")

    def read(self, offset: int, into: memoryview) -> None:
        """Fill `into` with what is to be on the card from `offset` on. Raises UserError when a file became shorter."""
        _fill(self._descriptor, offset, into, self.image)
        for laid in self._laid:
            start, end = max(offset, laid.offset), min(offset + len(into), laid.offset + laid.length)
            if start < end:
                _fill(laid.descriptor, start - laid.offset, into[start - offset : end - offset], laid.path)

    def pieces(self) -> Iterator[tuple[int, int]]:
        """(offset, length) of pieces that cover all ranges in order; none is longer than PIECE."""
        for one in self.ranges:
            for offset in range(one.offset, one.end, PIECE):
                yield offset, min(PIECE, one.end - offset)

    def check(self, progress: Callable[[int], None]) -> dict[int, bytes]:
        """Compare the image with its map, before a card is touched; returns a digest of each piece to be written.

        Raises UserError when they differ.
        """
        memory = buffer(PIECE)
        for one in self.map.ranges:
            digest = hashlib.sha256()
            for offset in range(one.offset, one.end, PIECE):
                piece = memory[: min(PIECE, one.end - offset)]
                _fill(self._descriptor, offset, piece, self.image)
                digest.update(piece)
                progress(len(piece))
            if one.sha256 and digest.hexdigest() != one.sha256:
                raise UserError(
                    f"{self.image.name} is damaged: bytes {one.offset} to {one.end - 1} differ from its block map",
                    where=str(self.map_path),
                    hint="build the image again; nothing was written",
                )
        digests = {}
        for offset, length in self.pieces():
            self.read(offset, memory[:length])
            digests[offset] = hashlib.sha256(memory[:length]).digest()
        return digests


def merged(ranges: Sequence[Range]) -> tuple[Range, ...]:
    """Ranges in order, those that touch made one; their sums are gone."""
    found: list[Range] = []
    for one in sorted(ranges, key=lambda r: r.offset):
        if found and one.offset <= found[-1].end:
            found[-1] = Range(found[-1].offset, max(found[-1].end, one.end) - found[-1].offset)
        else:
            found.append(Range(one.offset, one.length))
    return tuple(found)


def _fill(descriptor: int, offset: int, into: memoryview, path: Path) -> None:
    while into:
        done = os.preadv(descriptor, [into], offset)
        if not done:
            raise UserError(f"{path} became shorter while it was read")
        into, offset = into[done:], offset + done
