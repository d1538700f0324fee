# SPDX-License-Identifier: MIT
"""Images for the tests of `flash`: a tiny one, and a real one with file systems from the tools tree."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from protopi import bmap, layout, mbr
from protopi.boot.fat import Fat
from recipes.sdcard import Piece, assemble, used_extents
from tests.cards import DISK, FILES
from tests.conftest import InTools

MIB = 1 << 20
AUTOBOOT = b"[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n"


def finish(image: Path, extents: Sequence[bmap.Extent], *, shell: bool = False, name: str = "test") -> Path:
    """Put a block map and a manifest beside an image."""
    block_map = image.with_suffix(".bmap")
    block_map.write_text(bmap.make(image, extents))
    files: dict[str, dict[str, str]] = {"/init": {}, **({"/etc/protopi/console-shell": {}} if shell else {})}
    sums = {path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in (image, block_map)}
    document = {"image": name, "board": "pi4", "rootfs": {"files": files}, "outputs": sums}
    (image.parent / "manifest.json").write_text(json.dumps(document))
    return image


def tiny(folder: Path, *, shell: bool = False, seed: int = 1) -> Path:
    """An image of 1 MiB with gaps: a partition table and noise, not bootable."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = random.Random(seed)
    content = bytearray(MIB)
    content[:512] = mbr.make(DISK, [mbr.Partition(1, mbr.TYPE_FAT16_LBA, 64, 1024)])[0]
    extents = [(0, 512), (32768, 200_000), (600_000, 100_000)]
    for start, length in extents[1:]:
        content[start : start + length] = noise.randbytes(length)
    image = folder / "tiny.img"
    image.write_bytes(content)
    return finish(image, extents, shell=shell)


def real(folder: Path, in_tools: InTools, *, version: bytes = b"1") -> Path:
    """An image of 64 MiB with Protopi's layout, which the firmware stand-in boots: FATs, a root, an ext4.

    Made with mkfs.vfat, mcopy and mke2fs. `version` goes into kernel and root, so that two are told apart.
    """
    folder.mkdir(parents=True)
    place = layout.compute(5 * MIB, MIB, 8 * MIB)
    boot: Mapping[str, bytes] = {**FILES, "Image": FILES["Image"] + version * 300_000}
    pieces = [
        _fat(folder, in_tools, "selector.fat", {"autoboot.txt": AUTOBOOT}, place[layout.SELECTOR]),
        _fat(folder, in_tools, "boot-a.fat", boot, place[layout.BOOT_A]),
        _fat(folder, in_tools, "boot-b.fat", {}, place[layout.BOOT_B]),
    ]
    root = folder / "root"
    root.write_bytes(random.Random(version).randbytes(700_000 // 4096 * 4096))
    pieces.append(Piece(root, place[layout.ROOT_A].offset, ((0, root.stat().st_size),)))
    data, part = folder / "data.ext4", place[layout.DATA]
    data.touch()
    os.truncate(data, part.size)
    in_tools(["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-O", "^orphan_file", "-J", "size=4",
              "-E", "lazy_itable_init=0", "data.ext4"], folder)  # fmt: skip
    listed = in_tools(["dumpe2fs", "data.ext4"], folder).stdout
    pieces.append(Piece(data, part.offset, tuple(used_extents(listed, part.size // 4096))))
    image = folder / "real.img"
    return finish(image, assemble(image, place, DISK, pieces))


def _fat(folder: Path, in_tools: InTools, name: str, files: Mapping[str, bytes], part: mbr.Partition) -> Piece:
    image = folder / name
    image.touch()
    os.truncate(image, part.size)
    in_tools(["mkfs.vfat", "--invariant", "-F", "16", "-s", "1", "-h", str(part.start), name], folder)
    for file, content in files.items():
        (folder / file).write_bytes(content)
        in_tools(["mcopy", "-i", name, file, f"::{file}"], folder)
    raw = image.read_bytes()
    return Piece(image, part.offset, ((0, Fat(lambda offset, length: raw[offset : offset + length]).end()),))


def checked(card: Path, folder: Path, in_tools: InTools) -> list[str]:
    """What fsck.fat and e2fsck say against the file systems of a card (nothing: they are sound)."""
    place = layout.compute(5 * MIB, MIB, 8 * MIB)
    found = []
    for number, program in ((1, ["fsck.vfat"]), (2, ["fsck.vfat"]), (3, ["fsck.vfat"]), (7, ["e2fsck", "-f"])):
        part = place[number]
        with card.open("rb") as raw:
            raw.seek(part.offset)
            (folder / "part").write_bytes(raw.read(part.size))
        done = in_tools([*program, "-n", "part"], folder, check=False)
        if done.returncode:
            found.append(f"partition {number}: {done.stdout}{done.stderr}")
    return found
