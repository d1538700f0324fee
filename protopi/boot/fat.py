# SPDX-License-Identifier: MIT
"""A read-only FAT12/16/32 reader over a window of a file: what the Pi's boot ROM and firmware see of a card.

Own code, because a reader that repairs, caches or guesses would hide exactly the faults that the firmware stand-in
is there to find: everything odd is a UserError. Names compare without regard to case.
Source: Microsoft's FAT specification (fatgen103), sections on the BPB, the FAT and long directory entries.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from protopi.errors import UserError

Reader = Callable[[int, int], bytes]
_DIRECTORY, _VOLUME, _LONG = 0x10, 0x08, 0x0F
_LOWER_BASE, _LOWER_EXT = 0x08, 0x10


@dataclass(frozen=True, slots=True)
class Entry:
    """A directory entry: name (long where there is one), size in bytes, first cluster."""

    name: str
    size: int
    cluster: int
    directory: bool


def _bad(message: str) -> NoReturn:
    raise UserError(f"FAT: {message}")


class Fat:
    """A FAT file system; `read(offset, length)` gives bytes from its first sector on."""

    def __init__(self, read: Reader) -> None:
        self._read = read
        boot = read(0, 512)
        if len(boot) != 512 or boot[510:] != b"\x55\xaa":
            _bad("no boot sector")
        (self._sector, per_cluster, reserved, fats, root_entries, small, _, fat16) = struct.unpack_from(
            "<HBHBHHBH", boot, 11
        )
        large, fat32 = struct.unpack_from("<II", boot, 32)
        if self._sector not in (512, 1024, 2048, 4096) or per_cluster not in (1, 2, 4, 8, 16, 32, 64, 128):
            _bad(f"boot sector is not FAT ({self._sector} bytes a sector, {per_cluster} sectors a cluster)")
        if not reserved or fats not in (1, 2):
            _bad(f"boot sector is not FAT ({reserved} reserved sectors, {fats} tables)")
        self.cluster_size: int = self._sector * per_cluster
        sectors, per_fat = small or large, fat16 or fat32
        root_sectors = -(-root_entries * 32 // self._sector)
        first_data = reserved + fats * per_fat + root_sectors
        if sectors <= first_data or not per_fat:
            _bad("boot sector is not FAT (no room for data)")
        self.clusters: int = (sectors - first_data) // per_cluster
        # The number of clusters alone decides which FAT it is (fatgen103, "FAT type determination").
        self.bits = 12 if self.clusters < 4085 else 16 if self.clusters < 65525 else 32
        self._data: int = first_data * self._sector
        self._root_at = (reserved + fats * per_fat) * self._sector
        self._root_size = root_entries * 32
        self._root_cluster = struct.unpack_from("<I", boot, 44)[0] if self.bits == 32 else 0
        self._table = read(reserved * self._sector, per_fat * self._sector)
        self.size = sectors * self._sector
        label = boot[71:82] if self.bits == 32 else boot[43:54]
        self.label = label.decode("ascii", "replace").rstrip()

    def _next(self, cluster: int) -> int:
        if self.bits == 12:
            (pair,) = struct.unpack_from("<H", self._table, cluster * 3 // 2)
            return int(pair >> 4 if cluster & 1 else pair & 0xFFF)
        if self.bits == 16:
            return int(struct.unpack_from("<H", self._table, cluster * 2)[0])
        return int(struct.unpack_from("<I", self._table, cluster * 4)[0]) & 0x0FFFFFFF

    def _chain(self, cluster: int) -> Iterator[int]:
        end = {12: 0xFF8, 16: 0xFFF8, 32: 0x0FFFFFF8}[self.bits]
        seen: set[int] = set()
        while cluster < end:
            if not 2 <= cluster < self.clusters + 2 or cluster in seen:
                _bad(f"broken cluster chain at {cluster}")
            yield cluster
            seen.add(cluster)
            cluster = self._next(cluster)

    def _content(self, cluster: int, size: int | None = None) -> bytes:
        pieces: list[bytes] = []
        have = 0
        for number in self._chain(cluster):
            if size is not None and have >= size:
                break
            pieces.append(self._read(self._data + (number - 2) * self.cluster_size, self.cluster_size))
            have += self.cluster_size
        data = b"".join(pieces)
        if size is not None and len(data) < size:
            _bad(f"a file of {size} bytes has clusters for {len(data)} only")
        return data if size is None else data[:size]

    def _directory(self, cluster: int) -> bytes:
        if cluster:
            return self._content(cluster)
        if self.bits == 32:
            return self._content(self._root_cluster)
        return self._read(self._root_at, self._root_size)

    def _entries(self, cluster: int) -> Iterator[Entry]:
        raw = self._directory(cluster)
        long: dict[int, bytes] = {}
        check = -1
        for at in range(0, len(raw) - 31, 32):
            row = raw[at : at + 32]
            if row[0] == 0:
                return
            if row[0] == 0xE5:
                long = {}
                continue
            if row[11] & 0x3F == _LONG:
                if row[0] & 0x40:
                    long, check = {}, row[13]
                if row[13] == check:
                    long[row[0] & 0x3F] = row[1:11] + row[14:26] + row[28:32]
                continue
            if row[11] & _VOLUME:
                long = {}
                continue
            high = struct.unpack_from("<H", row, 20)[0] if self.bits == 32 else 0
            low, size = struct.unpack_from("<HI", row, 26)
            # A long name counts only when all its parts are there and belong to this short name.
            whole = bool(long) and sorted(long) == list(range(1, len(long) + 1)) and check == _checksum(row[:11])
            name = _long_name(long) if whole else _short_name(row)
            long, check = {}, -1
            if name not in (".", ".."):
                yield Entry(name, size, high << 16 | low, bool(row[11] & _DIRECTORY))

    def list(self, path: str = "/") -> tuple[Entry, ...]:
        """The entries of a folder. Raises UserError when there is no such folder."""
        entry = self._find(path)
        if entry is None or not entry.directory:
            _bad(f"no folder {path}")
        return tuple(self._entries(entry.cluster))

    def _find(self, path: str) -> Entry | None:
        here = Entry("/", 0, 0, True)
        for word in (w for w in path.split("/") if w):
            if not here.directory:
                return None
            fold = word.lower()
            match = next((e for e in self._entries(here.cluster) if e.name.lower() == fold), None)
            if match is None:
                return None
            here = match
        return here

    def exists(self, path: str) -> bool:
        """Whether there is a regular file of that name."""
        entry = self._find(path)
        return entry is not None and not entry.directory

    def read(self, path: str) -> bytes:
        """The content of a file. Raises UserError when there is none, or its clusters are broken."""
        entry = self._find(path)
        if entry is None or entry.directory:
            _bad(f"no file {path}")
        return self._content(entry.cluster, entry.size) if entry.size else b""

    def allocated(self) -> int:
        """Bytes in use: everything before the data area, and the clusters that are not free."""
        used = sum(1 for number in range(2, self.clusters + 2) if self._next(number))
        return self._data + used * self.cluster_size

    def end(self) -> int:
        """Where the last used cluster ends, in bytes from the first sector: nothing behind it was ever written."""
        last = max((number for number in range(2, self.clusters + 2) if self._next(number)), default=1)
        return self._data + (last - 1) * self.cluster_size

    def walk(self, folder: str = "/") -> Iterator[tuple[str, Entry]]:
        """All files below a folder as (path, entry), folders first met first."""
        for entry in self.list(folder):
            path = f"{folder.rstrip('/')}/{entry.name}"
            if entry.directory:
                yield from self.walk(path)
            else:
                yield path, entry


def _checksum(short: bytes) -> int:
    value = 0
    for byte in short:
        value = ((value >> 1) + ((value & 1) << 7) + byte) & 0xFF
    return value


def _long_name(parts: dict[int, bytes]) -> str:
    text = b"".join(parts[number] for number in sorted(parts)).decode("utf-16-le", "replace")
    return text.split("\0", 1)[0].rstrip("\uffff")


def _short_name(row: bytes) -> str:
    first = b"\xe5" if row[0] == 0x05 else row[:1]
    base = (first + row[1:8]).decode("cp437").rstrip()
    extension = row[8:11].decode("cp437").rstrip()
    # Windows, Linux and mtools keep a name that is all lower case in these two bits instead of a long name.
    base = base.lower() if row[12] & _LOWER_BASE else base
    extension = extension.lower() if row[12] & _LOWER_EXT else extension
    return f"{base}.{extension}" if extension else base
