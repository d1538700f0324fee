# SPDX-License-Identifier: MIT
"""Reads the block map that goes with an image (bmap-tools' XML, format 2.0; protopi.bmap writes it), strictly."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from protopi.bmap import BLOCK
from protopi.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

_HINT = "build the image again; the map is made with it"


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes of the image that have to be written, and their sha256 ("": none is known)."""

    offset: int
    length: int
    sha256: str = ""

    @property
    def end(self) -> int:
        """The byte after its last one."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class BlockMap:
    """The length of the image and its mapped ranges, in order; `sha256` is that of the map file's own text."""

    size: int
    ranges: tuple[Range, ...]
    sha256: str = ""

    @property
    def mapped(self) -> int:
        """How many bytes are mapped."""
        return sum(one.length for one in self.ranges)


def whole(size: int) -> BlockMap:
    """The map of an image that has none: every byte counts."""
    return BlockMap(size, (Range(0, size),))


def load(path: Path) -> BlockMap:
    """Read a map. Raises UserError when it is damaged or of a kind that is not known."""
    raw = path.read_bytes()
    try:
        return _parse(raw)
    except (ValueError, ElementTree.ParseError) as error:
        raise UserError(f"no usable block map: {error}", where=str(path), hint=_HINT) from error


def _parse(raw: bytes) -> BlockMap:
    # The sum is that of the text with zeros in its own place, so it is looked at before the text is believed.
    found = re.search(rb"<BmapFileChecksum>\s*([0-9a-f]{64})\s*</BmapFileChecksum>", raw)
    if not found:
        raise ValueError("it has no checksum of its own")
    blank = raw[: found.start(1)] + b"0" * 64 + raw[found.end(1) :]
    if hashlib.sha256(blank).hexdigest().encode() != found[1]:
        raise ValueError("its checksum is wrong: it was altered or cut short")
    top = ElementTree.fromstring(raw)
    if top.tag != "bmap" or not str(top.get("version", "")).startswith("2."):
        raise ValueError(f"version {top.get('version')} of {top.tag}, wanted bmap 2")
    if _text(top, "ChecksumType") != "sha256":
        raise ValueError(f"checksums of type {_text(top, 'ChecksumType')}, wanted sha256")
    size, block = int(_text(top, "ImageSize")), int(_text(top, "BlockSize"))
    if block <= 0 or block % BLOCK or size <= 0 or size % BLOCK:
        raise ValueError(f"{size} bytes in blocks of {block}")
    ranges: list[Range] = []
    for row in top.iterfind("BlockMap/Range"):
        first, _, last = (row.text or "").strip().partition("-")
        offset, end = int(first) * block, min((int(last or first) + 1) * block, size)
        if offset >= end or (ranges and offset < ranges[-1].end):
            raise ValueError(f"range {row.text} is empty, outside the image or out of order")
        ranges.append(Range(offset, end - offset, str(row.get("chksum", ""))))
    if not ranges or not all(re.fullmatch(r"[0-9a-f]{64}", one.sha256) for one in ranges):
        raise ValueError("no ranges, or some without a checksum")
    return BlockMap(size, tuple(ranges), hashlib.sha256(raw).hexdigest())


def _text(top: ElementTree.Element, key: str) -> str:
    text = top.findtext(key)
    if text is None:
        raise ValueError(f"it has no {key}")
    return text.strip()
