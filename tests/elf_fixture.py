# SPDX-License-Identifier: MIT
"""Tiny ELF files in bytes, for tests on hosts without an aarch64 compiler: headers and dynamic sections, no code."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

EM_AARCH64 = 183
PT_DYNAMIC, PT_INTERP, PT_LOAD = 2, 3, 1
DT_NEEDED, DT_STRTAB, DT_RUNPATH, DT_STRSZ = 1, 5, 29, 10
SHT_STRTAB, SHT_DYNAMIC = 3, 6
SHT_VERDEF, SHT_VERNEED = 0x6FFFFFFD, 0x6FFFFFFE


def make_elf(
    *,
    kind: str = "program",
    machine: int = EM_AARCH64,
    interpreter: str = "/lib/ld-linux-aarch64.so.1",
    needed: Sequence[str] = (),
    runpath: str = "",
    wants: Mapping[str, Sequence[str]] | None = None,
    offers: Sequence[str] = (),
) -> bytes:
    """A 64-bit ELF file. `kind` "lib" has no interpreter; `wants` gives versions by library, `offers` its own."""
    strings = bytearray(b"\0")

    def name(text: str) -> int:
        strings.extend(text.encode() + b"\0")
        return len(strings) - len(text.encode()) - 1

    tags = [(DT_NEEDED, name(library)) for library in needed]
    if runpath:
        tags.append((DT_RUNPATH, name(runpath)))
    verneed = b""
    for n, (library, versions) in enumerate(items := list((wants or {}).items())):
        size = 16 + 16 * len(versions)
        verneed += struct.pack("<HHIII", 1, len(versions), name(library), 16, size if n < len(items) - 1 else 0)
        for m, version in enumerate(versions):
            verneed += struct.pack("<IHHII", 0, 0, 2 + m, name(version), 16 if m < len(versions) - 1 else 0)
    verdef = b""
    for n, version in enumerate(offers):
        verdef += struct.pack("<HHHHIII", 1, 0, 1 + n, 1, 0, 20, 28 if n < len(offers) - 1 else 0)
        verdef += struct.pack("<II", name(version), 0)

    # Header, program headers, then the blobs, each at the address that is its offset.
    programs = 2 + (kind != "lib")
    at = 64 + 56 * programs
    blobs: list[tuple[int, bytes]] = []

    def place(data: bytes) -> tuple[int, int]:
        nonlocal at
        at += -at % 8
        where = at
        blobs.append((where, data))
        at += len(data)
        return where, len(data)

    interp = place(interpreter.encode() + b"\0")
    names = place(bytes(strings))
    tags += [(DT_STRTAB, names[0]), (DT_STRSZ, names[1]), (0, 0)]
    dynamic = place(b"".join(struct.pack("<QQ", *tag) for tag in tags))
    need, offer = place(verneed), place(verdef)
    section_names = b"\0.dynstr\0.dynamic\0.gnu.version_r\0.gnu.version_d\0.shstrtab\0"
    shstr = place(section_names)
    headers = [struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)]
    for title, kind_, (where, size), link, count, entry in (
        (".dynstr", SHT_STRTAB, names, 0, 0, 0),
        (".dynamic", SHT_DYNAMIC, dynamic, 1, 0, 16),
        (".gnu.version_r", SHT_VERNEED, need, 1, len(wants or {}), 0),
        (".gnu.version_d", SHT_VERDEF, offer, 1, len(offers), 0),
        (".shstrtab", SHT_STRTAB, shstr, 0, 0, 0),
    ):
        index = section_names.index(title.encode() + b"\0")
        headers.append(struct.pack("<IIQQQQIIQQ", index, kind_, 2, where, where, size, link, count, 8, entry))
    sections, _ = place(b"".join(headers))
    table = struct.pack("<IIQQQQQQ", PT_LOAD, 5, 0, 0, 0, at, at, 4096)
    table += struct.pack("<IIQQQQQQ", PT_DYNAMIC, 6, dynamic[0], dynamic[0], dynamic[0], dynamic[1], dynamic[1], 8)
    if kind != "lib":
        table += struct.pack("<IIQQQQQQ", PT_INTERP, 4, interp[0], interp[0], interp[0], interp[1], interp[1], 1)
    image = bytearray(at)
    image[:64] = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack(
        "<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, sections, 0, 64, 56, programs, 64, 6, 5
    )  # fmt: skip
    image[64 : 64 + len(table)] = table
    for where, data in blobs:
        image[where : where + len(data)] = data
    return bytes(image)
