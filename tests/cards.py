# SPDX-License-Identifier: MIT
"""Small synthetic SD cards for the tests: a FAT16 writer of a few lines, a partition table, plausible boot files."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from protopi import mbr

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KERNEL = bytes(56) + b"ARM\x64" + b"kernel" * 100
TREE = b"\xd0\x0d\xfe\xed" + (64).to_bytes(4, "big") + bytes(56)
DISK = 0x50726F74
FILES: Mapping[str, bytes] = {
    "config.txt": b"arm_64bit=1\nkernel=Image\n",
    "cmdline.txt": b"root=PARTUUID=50726f74-05 ro\n",
    "Image": KERNEL,
    "start4.elf": b"\x7fELF\0arm_64bit\0kernel\0",
    "fixup4.dat": b"fixup",
    "bcm2711-rpi-4-b.dtb": TREE,
    "bcm2711-rpi-400.dtb": TREE,
}


def _short(name: str, index: int) -> bytes:
    base, _, extension = name.upper().partition(".")
    if len(base) <= 8 and len(extension) <= 3 and base.isalnum():
        return base.ljust(8).encode() + extension.ljust(3).encode()
    return f"LONG~{index:03d}".encode() + extension[:3].ljust(3).encode()


def _long(name: str, short: bytes) -> bytes:
    total = 0
    for byte in short:
        total = ((total >> 1) + ((total & 1) << 7) + byte) & 0xFF
    text = name.encode("utf-16-le")
    text += b"\0\0" if len(text) % 26 else b""
    text = text.ljust(-(-len(text) // 26) * 26, b"\xff")
    parts = [text[i : i + 26] for i in range(0, len(text), 26)]
    rows = []
    for number in range(len(parts), 0, -1):
        part = parts[number - 1]
        order = number | (0x40 if number == len(parts) else 0)
        rows.append(bytes([order]) + part[:10] + b"\x0f\0" + bytes([total]) + part[10:22] + b"\0\0" + part[22:])
    return b"".join(rows)


def _dot(name: str, cluster: int) -> bytes:
    return name.ljust(11).encode() + struct.pack("<B14xHI", 0x10, cluster, 0)


def fat16(files: Mapping[str, bytes], size: int = 3 << 20) -> bytes:
    """A FAT16 of `size` bytes with 512-byte clusters and these files; "folder/name" puts one into a folder."""
    sectors = size // 512
    per_fat = -(-sectors * 2 // 512)
    boot = bytearray(512)
    struct.pack_into("<3s8sHBHBHHBH", boot, 0, b"\xeb\x3c\x90", b"protopi ", 512, 1, 1, 2, 512, 0, 0xF8, per_fat)
    struct.pack_into("<HHII", boot, 24, 32, 64, 0, sectors)  # mtools wants a geometry
    boot[43:54] = b"TEST       "
    boot[510:] = b"\x55\xaa"
    table = bytearray(per_fat * 512)
    struct.pack_into("<HH", table, 0, 0xFFF8, 0xFFFF)
    data = bytearray()

    def store(content: bytes) -> int:
        """Put content into the next clusters; the first of them (0: there is nothing to put)."""
        first, count = 2 + len(data) // 512, -(-len(content) // 512)
        for step in range(count):
            struct.pack_into("<H", table, 2 * (first + step), first + step + 1 if step + 1 < count else 0xFFFF)
        data.extend(content.ljust(count * 512, b"\0"))
        return first if count else 0

    def rows(members: Mapping[str, bytes]) -> bytes:
        text = b""
        for index, (name, content) in enumerate(members.items()):
            short = _short(name, index)
            text += _long(name, short) + short + struct.pack("<B14xHI", 0x20, store(content), len(content))
        return text

    folders: dict[str, dict[str, bytes]] = {}
    for path, content in files.items():
        folder, _, name = path.rpartition("/")
        folders.setdefault(folder, {})[name] = content
    root = rows(folders.pop("", {}))
    for index, (folder, members) in enumerate(folders.items()):
        inside = rows(members)
        at = 2 + len(data) // 512
        short = _short(folder, 500 + index)
        root += _long(folder, short) + short + struct.pack("<B14xHI", 0x10, at, 0)
        store(_dot(".", at) + _dot("..", 0) + inside)
    image = bytes(boot) + bytes(table) * 2 + root.ljust(512 * 32, b"\0") + bytes(data)
    return image.ljust(size, b"\0")


def card(
    path: Path, boot_a: Mapping[str, bytes] = FILES, boot_b: Mapping[str, bytes] | None = None, **more: bytes
) -> Path:
    """A card with selector, boot A and boot B; `more` are files of the selector ("autoboot" -> autoboot.txt)."""
    selector = {f"{name}.txt": content for name, content in more.items()}
    if "autoboot" not in more:
        selector["autoboot.txt"] = b"[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n"
    step = 8192
    parts = [mbr.Partition(n, mbr.TYPE_FAT16_LBA, 2048 + step * (n - 1), step - 2048) for n in (1, 2, 3)]
    image = bytearray((2048 + 3 * step) * 512)
    for sector, record in mbr.make(DISK, parts).items():
        image[sector * 512 : sector * 512 + 512] = record
    for part, files in zip(parts, (selector, boot_a, boot_b or {}), strict=True):
        content = fat16(files)
        image[part.offset : part.offset + len(content)] = content
    path.write_bytes(image)
    return path
