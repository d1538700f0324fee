# SPDX-License-Identifier: MIT
"""A card that boots is a whole one, and a card that does not hold what it should is found out."""

from __future__ import annotations

import hashlib
import itertools
import mmap
import os
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from protopi import mbr
from protopi.boot import firmware
from protopi.boot.firmware import FirmwareRefusal
from protopi.errors import UserError
from protopi.flash import capacity, write
from protopi.flash.fault import Cause, Fault
from protopi.flash.source import PIECE, Source
from protopi.flash.target import NewFile, Target, buffer
from tests import flash_images
from tests.conftest import InTools
from tests.flash_targets import KINDS, Faulty, Injected, Logged, Recorder, Sparse

MIB = 1 << 20
#: The card is larger than the image, and no power of two: 72 MiB and a bit.
CARD = 72 * MIB + 512 * 40


@dataclass(frozen=True, slots=True)
class Images:
    """Two versions of an image with real file systems, and a folder to work in."""

    new: Path
    older: Path
    folder: Path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, in_tools: InTools) -> Images:
    folder = tmp_path_factory.mktemp("images")
    return Images(
        flash_images.real(folder / "new", in_tools, version=b"2"),
        flash_images.real(folder / "older", in_tools, version=b"1"),
        folder,
    )


def quiet(_stage: str, _done: int, _total: int) -> None:
    """No progress."""


def flash(target: Target, source: Source, old: Sequence[tuple[int, int]] = ()) -> None:
    write.write(target, source, source.check(lambda _: None), quiet, old)


# --- cut at any point ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cut:
    """What is on the card when power went: everything up to the last flush, and some of the writes after it.

    `pending` are the writes since the last flush; `whole` says which of them arrived; `torn` how many bytes of the
    last one did (writes may be torn at sectors, and may overtake each other).
    """

    base: int
    pending: tuple[Logged, ...]
    whole: tuple[bool, ...]
    torn: int


def cuts(log: Sequence[Logged], count: int, seed: int) -> Iterator[Cut]:
    """`count` cuts, spread evenly over the writes, each with another fate of what was under way."""
    noise = random.Random(seed)
    writes = [index for index, entry in enumerate(log) if entry.data]
    for number in range(count):
        at = writes[number * len(writes) // count]
        flushed = max((index for index in range(at) if not log[index].data), default=-1) + 1
        pending = tuple(entry for entry in log[flushed : at + 1] if entry.data)
        # A quarter are plain cuts: all that came before is there.
        plain = number % 4 == 0
        whole = tuple(plain or noise.random() < 0.5 for _ in pending[:-1])
        sectors = len(pending[-1].data) // 512
        yield Cut(flushed, pending, whole, 512 * noise.randrange(sectors + 1))


def run_cuts(images: Images, old: bytes, count: int, seed: int) -> dict[str, int]:
    """Flash onto a card that holds `old`, cut `count` times; counts what the firmware stand-in says of each card."""
    start = time.monotonic()
    with Source(images.new) as source:
        recorder = Recorder(CARD, old)
        flash(recorder, source)
        ranges = source.ranges
        wanted = [(one.offset, hashlib.sha256(recorder.get(one.offset, one.length)).digest()) for one in ranges]
    path = images.folder / "cut.img"
    path.write_bytes(_fresh(old))
    with path.open("r+b") as raw:
        state = mmap.mmap(raw.fileno(), CARD)
    done, counts = 0, {"refused": 0, "still the old card": 0, "complete": 0, "half-written and boots": 0}
    for cut in cuts(recorder.log, count, seed):
        for entry in recorder.log[done : cut.base]:
            state[entry.offset : entry.offset + len(entry.data)] = entry.data
        done = max(done, cut.base)
        undo = []
        lengths = [len(entry.data) if there else 0 for entry, there in zip(cut.pending, cut.whole, strict=False)]
        for entry, length in zip(cut.pending, [*lengths, cut.torn], strict=True):
            undo.append((entry.offset, bytes(state[entry.offset : entry.offset + length])))
            state[entry.offset : entry.offset + length] = entry.data[:length]
        if not boots(path):
            counts["refused"] += 1
        elif state[:] == _fresh(old):
            counts["still the old card"] += 1
        elif all(
            hashlib.sha256(state[o : o + r.length]).digest() == d for (o, d), r in zip(wanted, ranges, strict=True)
        ):
            counts["complete"] += 1
        else:
            counts["half-written and boots"] += 1
        for offset, content in reversed(undo):
            state[offset : offset + len(content)] = content
    state.close()
    path.unlink()
    print(f"cut at {count} points of {sum(bool(e.data) for e in recorder.log)} writes: {counts}, "
          f"{time.monotonic() - start:.1f} s")  # fmt: skip
    return counts


def _fresh(old: bytes) -> bytes:
    return old + b"\xa5" * (CARD - len(old))


def boots(path: Path) -> bool:
    """Whether the firmware stand-in would boot the card."""
    try:
        firmware.boot(path)
    except FirmwareRefusal:
        return False
    return True


def assert_never_half(images: Images, count: int) -> None:
    older = images.older.read_bytes()
    assert boots(images.older)
    assert boots(images.new)
    blank = run_cuts(images, b"", count, 1)
    assert blank["half-written and boots"] == blank["still the old card"] == 0
    used = run_cuts(images, older, count, 2)
    assert used["half-written and boots"] == 0
    assert min(used["refused"], blank["refused"]) > count * 0.8


def test_a_card_cut_at_any_point_never_boots_half_written(images: Images) -> None:
    assert_never_half(images, 20)


@pytest.mark.full
def test_a_card_cut_at_any_point_never_boots_half_written_full(images: Images) -> None:
    assert_never_half(images, 200)


def test_the_cuts_find_a_writer_that_writes_the_first_sector_first(
    images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: a plain copy, from front to back, is caught."""

    def copy(target: Target, source: Source, *_: object) -> None:
        memory = buffer(PIECE)
        for offset, length in source.pieces():
            source.read(offset, memory[:length])
            target.write(offset, memory[:length])
        target.flush()

    monkeypatch.setattr(write, "write", copy)
    assert run_cuts(images, images.older.read_bytes(), 20, 3)["half-written and boots"] > 0


def test_the_cuts_find_a_writer_that_does_not_flush(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second negative control: with the same order but no flushes, writes overtake the clearing."""
    monkeypatch.setattr(Recorder, "flush", lambda self: None)
    assert run_cuts(images, images.older.read_bytes(), 100, 4)["half-written and boots"] > 0


@pytest.mark.parametrize("used", [False, True])
def test_a_complete_card_passes_fsck_and_boots(used: bool, images: Images, in_tools: InTools, tmp_path: Path) -> None:
    with Source(images.new) as source:
        target = Recorder(CARD, images.older.read_bytes() if used else b"")
        flash(target, source)
    card = tmp_path / "card.img"
    card.write_bytes(target.get(0, CARD))
    assert flash_images.checked(card, tmp_path, in_tools) == []
    booted = firmware.boot(card)
    assert booted.kernel == firmware.boot(images.new).kernel
    assert booted.kernel != firmware.boot(images.older).kernel
    assert flash_images.checked(images.older, tmp_path, in_tools) == []


def test_fsck_would_find_a_card_of_two_halves(images: Images, in_tools: InTools, tmp_path: Path) -> None:
    """The negative control of the test above: what it trusts does object."""
    content = bytearray(images.new.read_bytes())
    with firmware.Card(images.new) as good:
        part = good.partition(7)
    content[part.offset + 4096 : part.offset + 40960] = bytes([0xA5]) * 36864
    card = tmp_path / "card.img"
    card.write_bytes(content)
    assert flash_images.checked(card, tmp_path, in_tools) != []


# --- what goes before ----------------------------------------------------------------------------------------------


def gpt(size: int, extents: Sequence[tuple[int, int]]) -> dict[int, bytes]:
    """A GPT and its copy: byte offset -> content."""
    table = b"".join(
        b"\x01" * 16 + os.urandom(16) + (o // 512).to_bytes(8, "little") + ((o + n) // 512 - 1).to_bytes(8, "little")
        + bytes(80) for o, n in extents
    ).ljust(128 * 128, b"\0")  # fmt: skip

    def header(entries: int) -> bytes:
        return b"EFI PART".ljust(72, b"\0") + (entries // 512).to_bytes(8, "little") + (128).to_bytes(4, "little") * 2

    protective = bytes(446) + b"\x00\x00\x02\x00\xee" + b"\xff" * 3 + (1).to_bytes(4, "little") + b"\xff" * 4
    end = size - 33 * 512
    return {0: protective.ljust(510, b"\0") + b"\x55\xaa", 512: header(1024), 1024: table, end: table,
            size - 512: header(end)}  # fmt: skip


def test_old_tables_and_old_partitions_are_cleared_first() -> None:
    extents = [(2 * MIB, 3 * MIB), (20 * MIB, 30 * MIB)]
    target = Recorder(CARD)
    for offset, content in gpt(CARD, extents).items():
        target.put(offset, content)
    for offset, _ in extents:
        target.put(offset, b"old file system" * 1000)
    write.invalidate(target, [(60 * MIB, 8 * MIB)])
    assert target.log[0].offset == 0
    assert target.log[1].data == b""  # a flush before anything else is touched
    for offset, length in [(0, MIB), (CARD - MIB, MIB), (2 * MIB, MIB), (20 * MIB, MIB), (60 * MIB, MIB)]:
        assert target.get(offset, length) == bytes(length), offset
    assert target.get(40 * MIB, 512) == b"\xa5" * 512


def test_the_backup_table_alone_names_old_partitions_too() -> None:
    target = Recorder(CARD)
    for offset, content in gpt(CARD, [(30 * MIB, 4 * MIB)]).items():
        if offset > MIB:
            target.put(offset, content)
    write.invalidate(target)
    assert target.get(30 * MIB, MIB) == bytes(MIB)


def test_logical_partitions_of_an_old_card_are_cleared(images: Images) -> None:
    target = Recorder(CARD, images.older.read_bytes())
    with firmware.Card(images.older) as card:
        parts = card.partitions
    write.invalidate(target)
    assert [p.number for p in parts] == [1, 2, 3, 5, 6, 7]
    assert all(not any(target.get(p.offset, MIB)) for p in parts)


def test_a_table_full_of_nonsense_does_not_stop_it() -> None:
    noise = random.Random(7)
    for _ in range(50):
        target = Sparse(CARD)
        target.put(0, noise.randbytes(510) + b"\x55\xaa")
        target.put(512, b"EFI PART" + noise.randbytes(504))
        target.put(CARD - 512, b"EFI PART" + noise.randbytes(504))
        write.invalidate(target)
        assert not any(target.get(0, MIB))


def test_a_card_that_silently_keeps_its_first_block_is_found_before_anything_else_is_written(images: Images) -> None:
    target = Faulty(CARD, Injected("stuck block", 0))
    with Source(images.new) as source, pytest.raises(Fault, match="nothing can be written") as caught:
        flash(target, source)
    assert caught.value.cause is Cause.CARD
    assert target.writes == 1


# --- reading back --------------------------------------------------------------------------------------------------


def run_faults(image: Path, count: int, seed: int) -> tuple[dict[str, int], list[str]]:
    """Inject `count` faults, of each kind in turn; counts those found by kind, and lists what went unnoticed."""
    start, noise = time.monotonic(), random.Random(seed)
    found = dict.fromkeys(KINDS, 0)
    missed: list[str] = []
    size = 40 * MIB
    with Source(image) as source:
        digests = source.check(lambda _: None)
        probe = Sparse(size)
        write.write(probe, source, digests, quiet)
        # Behind the first block, which has tests of its own.
        spots = [r.offset + noise.randrange(r.length) for r in source.ranges[1:] for _ in range(count)]
        noise.shuffle(spots)
        for number, kind in enumerate(itertools.islice(itertools.cycle(KINDS), count)):
            numbers = {
                "short device": noise.randrange(source.size, size),
                "aliased capacity": 1 << noise.randrange(20, 25),
                "detach on writing": noise.randrange(12),
                "detach on reading": noise.randrange(12),
            }
            fault = Injected(kind, spots[number], numbers.get(kind, 0), noise.randrange(8))
            target = Faulty(size, fault)
            try:
                write.write(target, source, digests, quiet)
                missed.append(str(fault))
            except Fault as error:
                found[kind] += 1
                if KINDS[kind] and error.cause.name.lower() != KINDS[kind]:
                    missed.append(f"{fault}: called {error.cause.name}: {error}")
            assert target.fired, f"the fault was never met: {fault}"
    total, took = sum(found.values()), time.monotonic() - start
    print(
        f"read-back: {count} faults injected, {total} found, {len(missed)} missed or misjudged: {found}; {took:.1f} s"
    )
    return found, missed


def run_clean(folder: Path, count: int) -> int:
    """Write `count` images to cards of random sizes without any fault; the number of those that were reported."""
    start, noise, reported = time.monotonic(), random.Random(5), 0
    for number in range(count):
        image = flash_images.tiny(folder / str(number), seed=number)
        target = Sparse(noise.randrange(2 * MIB, 4 << 30) // 512 * 512)
        with Source(image) as source:
            try:
                flash(target, source)
            except Fault as fault:
                reported += 1
                print(fault)
            content = image.read_bytes()
            assert all(target.get(r.offset, r.length) == content[r.offset : r.end] for r in source.ranges)
        shutil.rmtree(image.parent)
    print(f"read-back: {count} clean writes, {reported} reported; {time.monotonic() - start:.1f} s")
    return reported


def test_every_injected_fault_is_found_and_clean_writes_are_not_reported(tmp_path: Path) -> None:
    found, missed = run_faults(flash_images.tiny(tmp_path / "i"), 30, 1)
    assert missed == []
    assert sum(found.values()) == 30
    assert run_clean(tmp_path, 10) == 0


@pytest.mark.full
def test_every_injected_fault_is_found_and_clean_writes_are_not_reported_full(tmp_path: Path) -> None:
    found, missed = run_faults(flash_images.tiny(tmp_path / "i"), 300, 2)
    assert missed == []
    assert sum(found.values()) == 300
    assert run_clean(tmp_path, 100) == 0


def test_the_block_that_failed_is_named(tmp_path: Path) -> None:
    with Source(flash_images.tiny(tmp_path)) as source:
        at = source.ranges[1].offset + 5 * 4096 + 17
        with pytest.raises(Fault) as caught:
            flash(Faulty(40 * MIB, Injected("flip on writing", at, bit=3)), source)
    assert f"block {at // 4096} (byte {at // 4096 * 4096}, sector {at // 4096 * 8})" in str(caught.value)
    assert "1 of 32768 bits differ, the same in each of three readings" in str(caught.value)
    assert "likelier the card" in str(caught.value)


def test_a_first_sector_that_does_not_arrive_is_found(tmp_path: Path) -> None:
    class Deaf(Sparse):
        def write(self, offset: int, data: memoryview) -> None:
            if len(data) != 512:
                super().write(offset, data)

    with Source(flash_images.tiny(tmp_path)) as source, pytest.raises(Fault, match="first sector is not"):
        flash(Deaf(40 * MIB), source)


def test_a_card_that_wraps_at_an_odd_place_is_found_by_what_the_image_overwrote(tmp_path: Path) -> None:
    """No power of two: two marks never meet, but one of them lies in the image."""
    with Source(flash_images.tiny(tmp_path)) as source:
        inside = source.ranges[1].offset // 4096 * 4096
        wrap = 16 * MIB + 65536 - inside
        with pytest.raises(Fault, match="where nothing was written") as caught:
            flash(Faulty(40 * MIB, Injected("aliased capacity", 0, wrap)), source)
    assert caught.value.cause is Cause.CAPACITY


def test_marks_lie_where_a_smaller_card_would_fold_them_together() -> None:
    marks = capacity.offsets(32 * 10**9)
    assert marks[0] == 65536
    assert all(mark % 4096 == 0 and mark + 4096 <= 32 * 10**9 for mark in marks)
    assert {mark - 65536 for mark in marks} >= {1 << k for k in range(20, 35)} - {1 << 35}
    assert 32 * 10**9 - marks[-1] < 8192


def test_the_image_is_compared_with_its_map_before_the_card_is_touched(tmp_path: Path) -> None:
    image = flash_images.tiny(tmp_path)
    content = bytearray(image.read_bytes())
    content[40000] ^= 1
    image.write_bytes(content)
    with Source(image) as source, pytest.raises(UserError, match="differ from its block map"):
        source.check(lambda _: None)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text.replace("<ImageSize> 1048576", "<ImageSize> 2097152"), "checksum is wrong"),
        (lambda text: text[:-30], "checksum is wrong"),
        (lambda text: "", "no checksum"),
        (lambda text: text.replace("BmapFileChecksum", "Sum"), "no checksum"),
    ],
)
def test_a_damaged_map_is_refused(damage: object, reason: str, tmp_path: Path) -> None:
    image = flash_images.tiny(tmp_path)
    block_map = image.with_suffix(".bmap")
    assert callable(damage)
    block_map.write_text(damage(block_map.read_text()))
    with pytest.raises(UserError, match=reason):
        Source(image)


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    for name, content in (("empty", b""), ("odd", bytes(5000)), ("zeros", bytes(8192)), ("zstd", b"(\xb5/\xfd" * 2048)):
        path = tmp_path / f"{name}.img"
        path.write_bytes(content)
        with pytest.raises(UserError, match="no SD image"):
            Source(path)
    image = flash_images.tiny(tmp_path / "i")
    os.truncate(image, 2 * MIB)
    with pytest.raises(UserError, match="its block map says"):
        Source(image)


@dataclass(frozen=True, slots=True)
class Laid:
    """A patch."""

    offset: int
    path: Path


def test_what_is_laid_over_the_image_is_on_the_card_and_the_image_is_not_changed(tmp_path: Path) -> None:
    image = flash_images.tiny(tmp_path / "i")
    before = image.read_bytes()
    over = tmp_path / "over"
    over.write_bytes(b"board" * 8192)
    target = Sparse(40 * MIB)
    with Source(image, [Laid(20480, over)]) as source:
        flash(target, source)
        assert target.get(20480, 40960) == over.read_bytes()
        assert target.get(61440, 1000) == before[61440:62440]
        assert target.get(0, 512) == before[:512]
    assert image.read_bytes() == before
    for offset, length in ((0, 4096), (100, 4096), (4096, 100), (MIB - 4096, 8192)):
        over.write_bytes(bytes(length))
        with pytest.raises(ValueError, match=r"laid over|behind"):
            Source(image, [Laid(offset, over)])


def test_memory_does_not_grow_with_the_image(tmp_path: Path) -> None:
    """Pieces of 4 MiB, whatever the image: nothing reads a range as a whole."""
    image = tmp_path / "large.img"
    image.touch()
    os.truncate(image, 300 * MIB)
    with image.open("r+b") as raw:
        raw.write(mbr.make(1, [mbr.Partition(1, mbr.TYPE_FAT16_LBA, 64, 1024)])[0])
    with Source(image) as source:
        assert max(length for _, length in source.pieces()) == PIECE
        assert sum(length for _, length in source.pieces()) == 300 * MIB == source.total


# --- files and streams ---------------------------------------------------------------------------------------------


def test_a_file_has_its_name_only_when_it_is_proven(images: Images, tmp_path: Path) -> None:
    path = tmp_path / "card.img"
    with Source(images.new) as source:
        digests = source.check(lambda _: None)
        with pytest.raises(KeyboardInterrupt), NewFile(path, 128 * MIB) as target:
            write.write(target, source, digests, _interrupt)
        assert list(tmp_path.iterdir()) == []
        with NewFile(path, 128 * MIB) as target:
            write.write(target, source, digests, quiet)
            assert not path.exists()
            target.finish()
    assert path.stat().st_size == 128 * MIB
    assert path.stat().st_blocks * 512 < 40 * MIB  # sparse
    assert boots(path)
    with pytest.raises(UserError, match="exists"):
        NewFile(path, 128 * MIB)
    assert list(tmp_path.iterdir()) == [path]


def _interrupt(stage: str, _done: int, _total: int) -> None:
    if stage == "read back":
        raise KeyboardInterrupt


def test_a_stream_is_the_image(images: Images, tmp_path: Path) -> None:
    with Source(images.new) as source, (tmp_path / "out").open("wb") as out:
        write.stream(out.fileno(), source, source.check(lambda _: None), quiet)
    assert (tmp_path / "out").read_bytes() == images.new.read_bytes()
