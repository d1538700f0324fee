# SPDX-License-Identifier: MIT
"""Finds cards that are smaller than they say: marks at addresses that a smaller one would take for the same place.

Such a card drops high address bits, so that address A + 2^k is the same place as A. A mark therefore lies at one base
address, at base + 2^k for each k, and in the last block, and all are read back. Marks that the image does not overwrite
are read once more after it was written: caches are full of other things by then, and a card that wraps at an odd place
has overwritten some.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protopi.bmap import BLOCK
from protopi.flash.fault import Cause, Fault, of_error, place
from protopi.flash.target import buffer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protopi.flash.blockmap import Range
    from protopi.flash.target import Target

#: Behind the partition table, before the first partition of any layout of today.
_BASE = 64 << 10
_SMALLEST = 20  # the first step is 1 MiB


@dataclass(frozen=True, slots=True)
class Marks:
    """Where marks were put, and what makes them this run's."""

    nonce: bytes
    offsets: tuple[int, ...]

    def content(self, offset: int) -> bytes:
        """The block that lies at an offset: its hash, repeated, so that no byte of it looks like anything else's."""
        digest = hashlib.sha256(self.nonce + offset.to_bytes(8, "little")).digest()
        return digest * (BLOCK // len(digest))


def offsets(size: int) -> tuple[int, ...]:
    """Where marks go on a card of `size` bytes, rising."""
    last = (size // BLOCK - 1) * BLOCK
    steps = [_BASE + (1 << k) for k in range(_SMALLEST, max(size.bit_length(), _SMALLEST))]
    return tuple(sorted({at for at in (_BASE, *steps, last) if 0 < at <= last}))


def put(target: Target) -> Marks:
    """Write the marks and read them back. Raises Fault."""
    marks = Marks(os.urandom(16), offsets(target.size))
    memory = buffer(BLOCK)
    errors: dict[int, OSError] = {}
    for offset in marks.offsets:
        memory[:] = marks.content(offset)
        try:
            target.write(offset, memory)
        except OSError as error:
            errors[offset] = error
    try:
        target.flush()
    except OSError as error:
        raise of_error(target, "flushed", 0, error) from error
    _judge(target, marks, marks.offsets, errors)
    return marks


def check(target: Target, marks: Marks, written: Sequence[Range]) -> None:
    """Read those marks again that do not lie in what was `written`. Raises Fault."""
    outside = [at for at in marks.offsets if not any(one.offset < at + BLOCK and at < one.end for one in written)]
    _judge(target, marks, outside, {}, again=True)


def _judge(
    target: Target, marks: Marks, wanted: Sequence[int], errors: dict[int, OSError], *, again: bool = False
) -> None:
    """Read marks, and tell a card that ends early or repeats itself from one bad block and from a bad cable."""
    wrong: dict[int, bytes] = {}
    memory = buffer(BLOCK)
    for offset in wanted:
        if offset in errors:
            continue
        try:
            target.read(offset, memory)
        except OSError as error:
            errors[offset] = error
            continue
        if (found := bytes(memory)) == marks.content(offset):
            continue
        other = next((at for at in marks.offsets if marks.content(at) == found), None)
        if other is not None:
            raise _small(target, f"{place(offset)} and {place(other)} are the same place", offset)
        wrong[offset] = found
    bad = sorted({*wrong, *errors})
    if not bad:
        return
    first = bad[0]
    gone = of_error(target, "used", first, errors[first]) if first in errors else None
    if gone and gone.cause is Cause.WAY:
        raise gone from errors[first]
    if bad == [at for at in wanted if at >= first] and first != wanted[0]:
        raise _small(target, f"from {place(first)} on it keeps nothing", first)
    if gone:
        raise gone from errors[first]
    cause = Cause.CARD
    for _ in range(2):
        target.read(first, memory)
        if bytes(memory) != wrong[first]:
            cause = Cause.WAY
    if again and cause is Cause.CARD:
        raise _small(target, f"writing the image changed {place(first)}, where nothing was written", first)
    raise Fault(f"{target.name}: {place(first)} is not what was written", cause, first)


def _small(target: Target, message: str, offset: int) -> Fault:
    return Fault(f"{target.name}: {message}; it states {target.size} bytes", Cause.CAPACITY, offset)
