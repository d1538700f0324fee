# SPDX-License-Identifier: MIT
"""The SD image: partition table, file systems, block map, manifest. No root, no loop device, no mount.

Slot B is empty at first. Boot B is a formatted FAT without files: the boot loader may walk on to the next bootable
partition, and on a used card an older system's files could lie there. Of root B the first MiB is written as zeros, for
the same reason (no stale superblock), and the rest is left out of the block map. The first update fills both.

The disk id, the volume ids and the UUID follow from what is in the image, so two cards of one image are twins, and the
same inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from protopi import bmap, layout, mbr
from protopi.boot.fat import Fat
from protopi.errors import StepError, UserError
from protopi.recipe import Inputs, Recipe
from recipes.firmware import Firmware, render
from recipes.rootfs import Rootfs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from protopi.step import Context

#: Written as zeros in root B: whatever a file system keeps at its beginning.
WIPED = layout.MIB
#: The journal of the data partition: logs and settings, on cards of any size.
JOURNAL_MIB = 4
#: The block count up to which the data partition can grow while mounted: 512 GiB.
GROWS_TO = (512 << 30) // 4096
#: Level 6 with one thread: 3 % larger than level 12 in a third of its time, and the same bytes on any number of cores.
ZSTD = ("zstd", "-6", "-T1", "--quiet", "--force")


@dataclass(frozen=True, slots=True)
class Piece:
    """Something placed in the image: its file, where it goes, and which of its bytes a maker wrote."""

    source: Path
    offset: int
    extents: tuple[bmap.Extent, ...]


class SdCard(Recipe):
    """Outputs: NAME.img, NAME.img.zst, NAME.bmap, manifest.json."""

    name = "sdcard"
    summary = "the image of the SD card"
    licence = "LicenseRef-various"

    def inputs(self) -> Inputs:
        sizes = self.image.partitions
        return Inputs(
            needs=(Firmware(self.image), Rootfs(self.image)),
            files=("image/boot/cmdline.txt.j2",),
            params={
                "image": self.image.name,
                "board": self.image.board,
                "boot": int(sizes.boot),
                "root": int(sizes.root),
                "data": int(sizes.data),
                "cmdline": list(self.image.kernel.cmdline),
            },
        )

    @staticmethod
    def build(ctx: Context) -> None:
        name = ctx.params["image"]
        place = layout.compute(ctx.params["boot"], ctx.params["root"], ctx.params["data"])
        boot = {path.name: path.read_bytes() for path in sorted((ctx.input("firmware") / "boot").iterdir())}
        rootfs = ctx.input("rootfs") / "rootfs.erofs"
        disk = mbr.disk_id(
            *(f"{n}={hashlib.sha256(data).hexdigest()}" for n, data in boot.items()),
            hashlib.sha256(rootfs.read_bytes()).hexdigest(),
            repr(place.partitions),
            *ctx.params["cmdline"],
        )
        root = f"PARTUUID={mbr.partuuid(disk, layout.ROOT_A)}"
        line = render(ctx.project / "image/boot/cmdline.txt.j2", {"root": root, "words": ctx.params["cmdline"]})
        if len(line) > 1024:
            hint = "the kernel reads no more: take some words out"
            raise UserError(
                f"cmdline.txt would have {len(line)} of at most 1024 characters", key="kernel.cmdline", hint=hint
            )
        if len(line.splitlines()) != 1:
            raise StepError("cmdline.txt must be one line")
        boot["cmdline.txt"] = line.encode("ascii")
        selector = {path.name: path.read_bytes() for path in (ctx.input("firmware") / "selector").iterdir()}
        image = ctx.out / f"{name}.img"
        pieces = [
            fat(ctx, "PROTOPI", selector, place[layout.SELECTOR], disk),
            fat(ctx, "BOOT-A", boot, place[layout.BOOT_A], disk),
            fat(ctx, "BOOT-B", {}, place[layout.BOOT_B], disk),
            whole(rootfs, place[layout.ROOT_A], "partitions.root"),
            wiped(ctx, place[layout.ROOT_B]),
            data(ctx, place[layout.DATA], disk),
        ]
        extents = assemble(image, place, disk, pieces)
        check(ctx, image, place, rootfs)
        (ctx.out / f"{name}.bmap").write_text(bmap.make(image, extents))
        ctx.run([*ZSTD, "-o", ctx.out / f"{name}.img.zst", image])
        prove_map(ctx, image, ctx.out / f"{name}.bmap")
        manifest(ctx, place, disk, {**{f"autoboot/{n}": d for n, d in selector.items()}, **boot})


def fat(ctx: Context, label: str, files: Mapping[str, bytes], part: mbr.Partition, disk: int) -> Piece:
    """A FAT16 with these files in its root: large clusters, few table sectors for the firmware to walk."""
    key = "partitions.boot"
    image = ctx.work / f"{label.lower()}.fat"
    per_cluster = 4 if part.size >= 32 * layout.MIB else 1
    while part.sectors // per_cluster > 65000:
        per_cluster *= 2
    need = sum(-(-len(d) // (per_cluster * 512)) * per_cluster * 512 for d in files.values())
    layout.must_fit(f"boot slot {label}", need + layout.MIB, part.size, key)
    image.unlink(missing_ok=True)
    with image.open("wb") as raw:
        raw.truncate(part.size)
    volume = f"{(disk + part.number) & 0xFFFFFFFF:08x}"
    shape = ["--invariant", "-F", "16", "-s", str(per_cluster), "-h", str(part.start)]
    ctx.run(["mkfs.vfat", *shape, "-n", label, "-i", volume, image])
    folder = ctx.work / label
    folder.mkdir()
    for name in sorted(files, key=_read_order):
        (folder / name).write_bytes(files[name])
        ctx.run(["mcopy", "-i", image, folder / name, f"::{name}"], env={"MTOOLS_SKIP_CHECK": "1"})
    ctx.run(["fsck.vfat", "-n", image])
    with image.open("rb") as raw:
        made = Fat(lambda offset, length: _pread(raw, offset, length))
        for name, content in files.items():
            if made.read(name) != content:
                raise StepError(f"{name} does not read back from {label}")
        return Piece(image, part.offset, ((0, made.end()),))


def _pread(raw: Any, offset: int, length: int) -> bytes:
    raw.seek(offset)
    content = raw.read(length)
    assert isinstance(content, bytes)
    return content


def _read_order(name: str) -> tuple[int, str]:
    """The firmware walks the folder for each file it wants: those it reads first stand first."""
    order = ("config.txt", "start", "fixup", "cmdline.txt", "bcm2711", "Image")
    return next((i for i, word in enumerate(order) if name.startswith(word)), len(order)), name


def whole(source: Path, part: mbr.Partition, key: str) -> Piece:
    """A file system of which every byte counts."""
    size = source.stat().st_size
    layout.must_fit(source.name, size, part.size, key)
    return Piece(source, part.offset, ((0, size),))


def wiped(ctx: Context, part: mbr.Partition) -> Piece:
    """Zeros at the beginning of a partition."""
    zeros = ctx.work / f"zeros-{part.number}"
    zeros.write_bytes(bytes(min(WIPED, part.size)))
    return whole(zeros, part, "partitions.root")


def data(ctx: Context, part: mbr.Partition, disk: int) -> Piece:
    """The data partition: an empty ext4 that mounts fast and grows while mounted.

    No orphan file and a small journal (it is empty on most boots); inode tables are written out now, so that the
    kernel starts no thread for them; group descriptors are reserved for growing.
    """
    image = ctx.work / "data.ext4"
    image.unlink(missing_ok=True)
    with image.open("wb") as raw:
        raw.truncate(part.size)
    ident = str(uuid.uuid5(uuid.NAMESPACE_OID, f"protopi data {disk:08x}"))
    shape = ["-b", "4096", "-I", "256", "-i", "16384", "-m", "0", "-O", "^orphan_file", "-J", f"size={JOURNAL_MIB}"]
    more = f"hash_seed={ident},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,resize={GROWS_TO}"
    ctx.run(["mke2fs", "-q", "-F", "-t", "ext4", *shape, "-L", "data", "-U", ident, "-E", more, image])
    ctx.run(["e2fsck", "-f", "-n", image])
    text = ctx.run(["dumpe2fs", image], capture=True)
    return Piece(image, part.offset, tuple(used_extents(text, part.size // 4096)))


def used_extents(dumpe2fs: str, blocks: int) -> Iterable[bmap.Extent]:
    """Byte extents of the blocks that an ext4 uses, from dumpe2fs' lists of free ones (blocks of 4096 bytes)."""
    if not re.search(r"^Block size:\s+4096$", dumpe2fs, re.MULTILINE):
        raise StepError("the data partition has not the block size that was asked for")
    free: list[tuple[int, int]] = []
    for row in re.findall(r"^  Free blocks: (.*)$", dumpe2fs, re.MULTILINE):
        for word in filter(None, row.replace(" ", "").split(",")):
            first, _, last = word.partition("-")
            free.append((int(first), int(last or first)))
    at = 0
    for first, last in sorted(free):
        if first > at:
            yield at * 4096, (first - at) * 4096
        at = last + 1
    if at < blocks:
        yield at * 4096, (blocks - at) * 4096


def assemble(image: Path, place: layout.Layout, disk: int, pieces: Iterable[Piece]) -> list[bmap.Extent]:
    """Write the image, sparse; the extents of all that was placed."""
    extents: list[bmap.Extent] = []
    with image.open("wb") as out:
        out.truncate(place.total)
        for sector, record in mbr.make(disk, place.partitions).items():
            out.seek(sector * mbr.SECTOR)
            out.write(record)
            extents.append((sector * mbr.SECTOR, len(record)))
        for piece in pieces:
            with piece.source.open("rb") as source:
                for start, length in piece.extents:
                    source.seek(start)
                    out.seek(piece.offset + start)
                    content = source.read(length)
                    if len(content) != length:
                        raise StepError(f"{piece.source.name} is shorter than its extents")
                    out.write(content)
                    extents.append((piece.offset + start, length))
    return extents


def check(ctx: Context, image: Path, place: layout.Layout, rootfs: Path) -> None:
    """The table reads back as it was meant, and the root file system is sound."""
    with image.open("rb") as raw:
        _, found = mbr.parse(lambda offset, length: _pread(raw, offset, length))
    if found != place.partitions:
        raise StepError(f"the partition table reads back differently: {found}")
    ctx.run(["fsck.erofs", rootfs])


def prove_map(ctx: Context, image: Path, block_map: Path) -> None:
    """bmaptool writes the image by its map, checking every sum; over zeros the copy must be the image."""
    copy = ctx.work / "copy.img"
    ctx.run(["bmaptool", "--quiet", "copy", "--bmap", block_map, image, copy])
    ctx.run(["cmp", image, copy])
    copy.unlink()


def manifest(ctx: Context, place: layout.Layout, disk: int, boot: Mapping[str, bytes]) -> None:
    """manifest.json: every file of the image, the packages they come from, the partitions, the hashes."""
    listed: dict[str, Any] = json.loads((ctx.input("rootfs") / "rootfs.json").read_text())
    origins: dict[str, Any] = json.loads((ctx.input("firmware") / "boot.json").read_text())
    ours = {"package": "protopi", "version": "", "licence": "MIT"}
    outputs = sorted(path for path in ctx.out.iterdir() if path.is_file())
    document = {
        "format": 1,
        "image": ctx.params["image"],
        "board": ctx.params["board"],
        "disk_id": f"{disk:08x}",
        "partitions": [
            {"number": p.number, "type": p.type, "offset": p.offset, "size": p.size} for p in place.partitions
        ],
        "boot": {
            name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), **origins.get(name, ours)}
            for name, content in sorted(boot.items())
        },
        "rootfs": listed,
        "outputs": {path.name: {"size": path.stat().st_size, "sha256": _sum(path)} for path in outputs},
    }
    (ctx.out / "manifest.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


def _sum(path: Path) -> str:
    with path.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()
