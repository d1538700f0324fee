# SPDX-License-Identifier: MIT
"""The block map that goes with an image, in the XML format 2.0 of bmap-tools.

The map is derived from the pieces that were placed in the image, not from the holes of the sparse file: a file-system
maker may write blocks of zeros on purpose (an empty FAT, a cleared journal), and these must reach a used card too.
Source: the format comment in bmap-tools' own maps; `bmaptool copy` of the tools tree verifies what is written here.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

BLOCK = 4096
_ZERO_SUM = "0" * 64
Extent = tuple[int, int]  # first byte, length


def blocks(extents: Iterable[Extent], total: int) -> list[tuple[int, int]]:
    """Byte extents as sorted, merged ranges of blocks (first, last inclusive). Raises ValueError outside `total`."""
    ranges: list[tuple[int, int]] = []
    for start, length in sorted(extents):
        if length <= 0:
            continue
        if start < 0 or start + length > total:
            raise ValueError(f"extent {start}+{length} lies outside the image of {total} bytes")
        first, last = start // BLOCK, (start + length - 1) // BLOCK
        if ranges and first <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
        else:
            ranges.append((first, last))
    return ranges


def make(image: Path, extents: Iterable[Extent]) -> str:
    """The text of the map of `image`: every range with its sha256, and the checksum of the map itself."""
    total = image.stat().st_size
    if total % BLOCK:
        raise ValueError(f"{image.name}: {total} bytes are no whole number of {BLOCK}-byte blocks")
    ranges = blocks(extents, total)
    count = sum(last - first + 1 for first, last in ranges)
    lines = [
        '<?xml version="1.0" ?>',
        "<!-- The blocks of the image that have to be written; all others may keep what they hold. -->",
        '<bmap version="2.0">',
        f"    <ImageSize> {total} </ImageSize>",
        f"    <BlockSize> {BLOCK} </BlockSize>",
        f"    <BlocksCount> {total // BLOCK} </BlocksCount>",
        f"    <MappedBlocksCount> {count} </MappedBlocksCount>",
        "    <ChecksumType> sha256 </ChecksumType>",
        f"    <BmapFileChecksum> {_ZERO_SUM} </BmapFileChecksum>",
        "    <BlockMap>",
    ]
    with image.open("rb") as data:
        for first, last in ranges:
            digest = hashlib.sha256()
            data.seek(first * BLOCK)
            left = (last - first + 1) * BLOCK
            while left:
                piece = data.read(min(left, 1 << 20))
                if not piece:
                    raise ValueError(f"{image.name} is shorter than it was")
                digest.update(piece)
                left -= len(piece)
            place = str(first) if first == last else f"{first}-{last}"
            lines.append(f'        <Range chksum="{digest.hexdigest()}"> {place} </Range>')
    lines += ["    </BlockMap>", "</bmap>", ""]
    text = "\n".join(lines)
    return text.replace(_ZERO_SUM, hashlib.sha256(text.encode()).hexdigest(), 1)
