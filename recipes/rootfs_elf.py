# SPDX-License-Identifier: MIT
"""What an ELF file needs and offers, by pyelftools (Debian: python3-pyelftools)."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSection, DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerDefSection, GNUVerNeedSection
from elftools.elf.segments import InterpSegment


@dataclass(frozen=True, slots=True)
class Elf:
    """machine    e_machine, e.g. EM_AARCH64; kind: e_type, e.g. ET_DYN
    interpreter  the loader's path, "" when static or a library
    needed       names of libraries
    search       its own search path (RPATH, RUNPATH), unexpanded
    wants        (library, version) pairs of symbols that it uses
    offers       versions that it defines
    """

    machine: str
    kind: str
    interpreter: str = ""
    needed: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    wants: frozenset[tuple[str, str]] = frozenset()
    offers: frozenset[str] = frozenset()


def read_elf(data: bytes) -> Elf:
    """Parse an ELF file. Raises ValueError for one that is damaged."""
    try:
        return _read(ELFFile(io.BytesIO(data)))
    except (ELFError, UnicodeDecodeError, AttributeError, KeyError) as error:
        raise ValueError(f"damaged ELF file: {error}") from error


def _read(elf: ELFFile) -> Elf:
    interpreter, needed, search = "", [], []
    dynamic: DynamicSegment | DynamicSection | None = None
    for segment in elf.iter_segments():
        if isinstance(segment, InterpSegment):
            interpreter = str(segment.get_interp_name())
        elif isinstance(segment, DynamicSegment):
            dynamic = segment
    tag: Any  # its attributes depend on its kind
    if dynamic is not None:
        for tag in dynamic.iter_tags():
            if tag.entry.d_tag == "DT_NEEDED":
                needed.append(str(tag.needed))
            elif tag.entry.d_tag in ("DT_RUNPATH", "DT_RPATH"):
                text = str(tag.runpath if tag.entry.d_tag == "DT_RUNPATH" else tag.rpath)
                search += [part for part in text.split(":") if part]
    wants: set[tuple[str, str]] = set()
    offers: set[str] = set()
    for section in elf.iter_sections():
        if isinstance(section, GNUVerNeedSection):
            for need, versions in section.iter_versions():
                wants |= {(str(need.name), str(v.name)) for v in versions}
        elif isinstance(section, GNUVerDefSection):
            for _, names in section.iter_versions():
                offers.add(str(next(names).name))
    return Elf(
        str(elf["e_machine"]),
        str(elf["e_type"]),
        interpreter,
        tuple(needed),
        tuple(search),
        frozenset(wants),
        frozenset(offers),
    )
