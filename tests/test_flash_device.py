# SPDX-License-Identifier: MIT
"""Opening and writing real block devices: each refusal of the kernel's, each swap of a disk, each real fault."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from protopi.boot import firmware
from protopi.errors import UserError
from protopi.flash import device, disks, job, rules, write
from protopi.flash.disks import Roots
from protopi.flash.fault import Cause, Fault
from protopi.flash.job import Host
from protopi.flash.mounts import read_mounts
from protopi.flash.rules import Wish
from protopi.flash.signature import Signature, blkid, parse
from protopi.flash.source import Source
from tests import flash_images
from tests.conftest import InTools
from tests.flash_loops import LoopCard, attach, detach, loop_card, missing, missing_mapper, missing_raid

MIB = 1 << 20
WISH = Wish(MIB)
needs_loop = pytest.mark.skipif(bool(missing()), reason=missing())


def quiet(*_: object) -> None:
    """No progress, no words."""


@pytest.fixture
def card(tmp_path: Path) -> Iterator[LoopCard]:
    with loop_card(tmp_path, 40 * MIB) as made:
        yield made


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


def content(card: LoopCard) -> bytes:
    os.sync()
    return card.backing.read_bytes()


def refused(card: LoopCard, reason: str, host: Host | None = None, image: Path | None = None) -> None:
    """The whole job refuses the card, and not a byte of it changes."""
    before = content(card)
    image = image or flash_images.tiny(card.backing.parent / "image")
    with Source(image) as source, pytest.raises(UserError, match=reason):
        job.to_disk(host or card.host(), "sdl", WISH, source, source.check(quiet), quiet, quiet)
    assert content(card) == before


@needs_loop
def test_a_free_card_is_written_and_proven(card: LoopCard) -> None:
    """The positive control of every refusal below."""
    image = flash_images.tiny(card.backing.parent / "image")
    with Source(image) as source:
        disk, done = job.to_disk(card.host(), "sdl", WISH, source, source.check(quiet), quiet, quiet)
        assert (disk.serial, done.bytes) == ("LOOP0001", source.total)
        raw, wanted = content(card), image.read_bytes()
        assert all(raw[r.offset : r.end] == wanted[r.offset : r.end] for r in source.ranges)


@needs_loop
def test_a_real_image_on_a_real_block_device_boots_and_passes_fsck(tmp_path: Path, in_tools: InTools) -> None:
    image = flash_images.real(tmp_path / "image", in_tools)
    with loop_card(tmp_path, 100 * MIB) as made:
        made.backing.write_bytes(b"\xa5" * (100 * MIB))
        with Source(image) as source:
            job.to_disk(made.host(), "sdl", Wish(source.size), source, source.check(quiet), quiet, quiet)
        os.sync()
        assert firmware.boot(made.backing).kernel == firmware.boot(image).kernel
        assert flash_images.checked(made.backing, tmp_path, in_tools) == []


# --- in use --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def mounted(path: Path, point: Path) -> Iterator[None]:
    point.mkdir()
    run("mount", path, point)
    try:
        yield
    finally:
        run("umount", point)


def ext4(card: LoopCard, in_tools: InTools) -> None:
    in_tools(["mke2fs", "-q", "-F", "-t", "ext4", card.backing.name], card.backing.parent)


@needs_loop
def test_a_mounted_card_is_refused_by_the_rules_and_by_the_kernel(
    card: LoopCard, in_tools: InTools, tmp_path: Path
) -> None:
    ext4(card, in_tools)
    with mounted(card.path, tmp_path / "mnt"):
        refused(card, f"mounted: sdl at {tmp_path}/mnt")
        # Mounted after it was confirmed: what the rules saw is out of date, the kernel is not.
        refused(card, "cannot be opened: Device or resource busy", card.host(real_mounts=False))
    with Source(tmp_path / "image/tiny.img") as source:
        job.to_disk(card.host(), "sdl", WISH, source, source.check(quiet), quiet, quiet)


@needs_loop
def test_a_mount_in_another_name_space_is_seen_by_the_kernel_alone(
    card: LoopCard, in_tools: InTools, tmp_path: Path
) -> None:
    ext4(card, in_tools)
    (tmp_path / "mnt").mkdir()
    script = f"mount {card.path} {tmp_path}/mnt && echo ready && cat"
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as hidden:
        assert hidden.stdout
        assert hidden.stdin
        assert hidden.stdout.readline() == b"ready\n"
        refused(card, "Device or resource busy")
        hidden.stdin.close()


@needs_loop
def test_a_mounted_partition_keeps_the_whole_card(tmp_path: Path, in_tools: InTools) -> None:
    image = flash_images.real(tmp_path / "image", in_tools)
    with loop_card(tmp_path, 64 * MIB) as made:
        made.backing.write_bytes(image.read_bytes())
        run("losetup", "--detach", made.path)
        run("losetup", "--partscan", made.path, made.backing)
        made.pose()
        part = Path(f"{made.path}p7")
        if not part.exists():
            pytest.skip("NOT TESTED with a mounted partition: this kernel makes no partitions of loop devices")
        with mounted(part, tmp_path / "mnt"):
            refused(made, "Device or resource busy", image=image)


@needs_loop
def test_swap_on_a_card_is_refused_by_the_rules_and_by_the_kernel(card: LoopCard) -> None:
    header = bytearray(4096)
    header[1024:1032] = (1).to_bytes(4, "little") + (40 * 256 - 1).to_bytes(4, "little")
    header[4086:] = b"SWAPSPACE2"
    with card.backing.open("r+b") as raw:
        raw.write(header)
    run("swapon", card.path)
    try:
        refused(card, "Device or resource busy")
        # In the folder the loop device has another name, so its row of /proc/swaps is put there under that one.
        (card.machine.root / "swaps").write_text("Filename Type Size Used Priority\n/dev/sdl partition 1 0 -2\n")
        refused(card, "swapped to: sdl", card.host(real_mounts=False))
    finally:
        run("swapoff", card.path)


@needs_loop
def test_a_card_that_another_program_holds_is_refused(card: LoopCard) -> None:
    holder = os.open(card.path, os.O_RDONLY | os.O_EXCL)
    try:
        refused(card, "Device or resource busy")
    finally:
        os.close(holder)


@needs_loop
def test_while_it_is_open_nobody_can_mount_it(card: LoopCard, in_tools: InTools, tmp_path: Path) -> None:
    ext4(card, in_tools)
    (tmp_path / "mnt").mkdir()
    disk = card.disk()
    with device.open_disk(disk, WISH, card.host().read, card.roots().dev):
        done = subprocess.run(["mount", card.path, tmp_path / "mnt"], capture_output=True, check=False)
        assert done.returncode != 0
    with mounted(card.path, tmp_path / "mnt2"):
        assert os.path.ismount(tmp_path / "mnt2")


@needs_loop
def test_a_loop_device_on_the_card_is_a_holder(card: LoopCard) -> None:
    top = attach(card.path)
    try:
        folder = card.machine.root / "sys/devices/virtual/block/loop9"
        (folder / "loop").mkdir(parents=True)
        for name in ("dev", "size", "removable", "ro", "diskseq"):
            (folder / name).write_text((Path("/sys/block") / top.name / name).read_text())
        (folder / "queue").mkdir()
        (folder / "queue/logical_block_size").write_text("512\n")
        backing = (Path("/sys/block") / top.name / "loop/backing_file").read_text()
        assert backing.strip() == str(card.path)  # what the kernel says; in the folder the card has another name
        (folder / "loop/backing_file").write_text("/dev/sdl\n")
        (card.machine.root / "sys/block/loop9").symlink_to("../devices/virtual/block/loop9")
        refused(card, "held: sdl by loop9")
    finally:
        detach(top)


@pytest.mark.skipif(bool(missing_mapper()), reason=missing_mapper())
def test_a_card_under_device_mapper_is_refused(card: LoopCard) -> None:
    name = f"protopi-test-{os.getpid()}"
    run("dmsetup", "create", name, "--table", f"0 {40 * MIB // 512} linear {card.path} 0")
    try:
        assert os.listdir(f"/sys/block/{card.path.name}/holders")
        refused(card, "Device or resource busy")
    finally:
        run("dmsetup", "remove", "--retry", name)


@pytest.mark.skipif(bool(missing_raid()), reason=missing_raid())
def test_a_card_in_an_md_array_is_refused(card: LoopCard) -> None:
    array = f"/dev/md/protopi-test-{os.getpid()}"
    run("mdadm", "--build", array, "--level=linear", "--force", "--raid-devices=1", card.path)
    try:
        assert os.listdir(f"/sys/block/{card.path.name}/holders")
        refused(card, "Device or resource busy")
    finally:
        run("mdadm", "--stop", array)


def test_what_this_machine_cannot_test_is_said_aloud() -> None:
    """Silence about device mapper and md would look like success."""
    for reason in (missing(), missing_mapper(), missing_raid()):
        if reason:
            assert reason.startswith("NOT TESTED")
            print(reason)


# --- another disk by now -------------------------------------------------------------------------------------------


@needs_loop
def test_a_card_swapped_after_it_was_confirmed_is_refused(card: LoopCard, tmp_path: Path) -> None:
    """The same reader, the same name, the same size: the kernel's sequence number is another one."""
    other = tmp_path / "other.backing"
    other.write_bytes(b"precious" * (40 * MIB // 8))

    def swap_and_say_yes(_: str) -> str:
        detach(card.path)
        run("losetup", card.path, other)
        return "sdl"

    host = Host(card.roots(), {}, ask=swap_and_say_yes)
    image = flash_images.tiny(tmp_path / "image")
    with Source(image) as source, pytest.raises(UserError, match="not the disk that was confirmed: disk sequence"):
        job.to_disk(host, "sdl", WISH, source, source.check(quiet), quiet, quiet)
    assert other.read_bytes() == b"precious" * (40 * MIB // 8)


@needs_loop
def test_a_link_moved_after_it_was_confirmed_is_refused(card: LoopCard, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with loop_card(tmp_path / "b", 40 * MIB) as precious:
        before = content(precious)
        node = card.machine.root / "dev/nvme0n1"
        node.unlink()
        os.mknod(node, 0o60600, precious.path.stat().st_rdev)

        def move_and_say_yes(_: str) -> str:
            link = card.link
            link.unlink()
            link.symlink_to("../../nvme0n1")
            return "sdl"

        host = Host(card.roots(), {}, ask=move_and_say_yes)
        image = flash_images.tiny(tmp_path / "image")
        with Source(image) as source, pytest.raises(UserError, match="not the disk that was confirmed: device number"):
            job.to_disk(host, "sdl", WISH, source, source.check(quiet), quiet, quiet)
        assert content(precious) == before


@needs_loop
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/etc/hostname", "outside"),
        ("../../missing", "No such file"),
        ("../../regular", "no block device|Invalid argument"),
    ],
)
def test_a_link_to_anything_but_the_disk_is_refused(target: str, reason: str, card: LoopCard) -> None:
    (card.machine.root / "dev/regular").write_bytes(bytes(MIB))
    disk = card.disk()
    card.link.unlink()
    disk.by_id[0].symlink_to(target)
    with pytest.raises(UserError, match=reason):
        device.open_disk(disk, WISH, card.host().read, card.roots().dev)


@needs_loop
def test_another_size_or_serial_is_another_disk(card: LoopCard) -> None:
    disk = card.disk()
    os.truncate(card.backing, 48 * MIB)
    run("losetup", "--set-capacity", card.path)
    with pytest.raises(UserError, match=f"size {40 * MIB}, now {48 * MIB}"):
        device.open_disk(disk, WISH, card.host().read, card.roots().dev)
    os.truncate(card.backing, 40 * MIB)
    run("losetup", "--set-capacity", card.path)
    serial = next(card.machine.root.rglob("serial"))
    serial.write_text("SOMEBODY\n")
    with pytest.raises(UserError, match="serial LOOP0001, now SOMEBODY"):
        device.open_disk(disk, WISH, card.host().read, card.roots().dev)
    serial.write_text("LOOP0001\n")
    with device.open_disk(disk, WISH, card.host().read, card.roots().dev) as opened:
        assert opened.size == 40 * MIB


@needs_loop
def test_the_rules_are_asked_again_when_it_is_open(card: LoopCard) -> None:
    disk = card.disk()
    (card.machine.root / "sys/block/sdl/removable").write_text("0\n")
    with pytest.raises(UserError, match="refused by now: not removable"):
        device.open_disk(disk, WISH, card.host().read, card.roots().dev)
    (card.machine.root / "sys/block/sdl").unlink()
    with pytest.raises(UserError, match="is gone"):
        device.open_disk(disk, WISH, card.host().read, card.roots().dev)


@needs_loop
def test_it_is_opened_past_the_page_cache(card: LoopCard) -> None:
    with device.open_disk(card.disk(), WISH, card.host().read, card.roots().dev) as opened:
        flags = int(Path(f"/proc/self/fdinfo/{opened.descriptor}").read_text().split("flags:")[1].split()[0], 8)
    assert flags & os.O_DIRECT
    assert flags & os.O_CLOEXEC


# --- real faults ---------------------------------------------------------------------------------------------------


def spoil(card: LoopCard, image: Path, when: str, act: object) -> Fault:
    """Flash the card, do `act` to its backing file at the beginning of a stage; the fault that is reported."""
    fired: list[str] = []

    def report(stage: str, _done: int, _total: int) -> None:
        if stage == when and not fired:
            fired.append(stage)
            assert callable(act)
            act()

    with Source(image) as source, pytest.raises(Fault) as caught:
        job.to_disk(card.host(), "sdl", Wish(source.size), source, source.check(quiet), quiet, report)
    assert fired
    assert not any(card.backing.read_bytes()[:512])
    return caught.value


def two_pieces(folder: Path) -> Path:
    """An image of 6 MiB: the second piece is read back when the first one was reported."""
    image = flash_images.tiny(folder)
    raw = image.read_bytes() + os.urandom(5 * MIB)
    image.write_bytes(raw)
    return flash_images.finish(image, [(0, len(raw))])


@needs_loop
def test_a_bit_that_flips_on_a_real_device_is_found(card: LoopCard, tmp_path: Path) -> None:
    def flip() -> None:
        with card.backing.open("r+b") as raw:
            raw.seek(5 * MIB + 100)
            byte = raw.read(1)[0]
            raw.seek(5 * MIB + 100)
            raw.write(bytes([byte ^ 4]))

    fault = spoil(card, two_pieces(tmp_path / "image"), "read back", flip)
    assert (fault.cause, fault.offset) == (Cause.CARD, 5 * MIB)


@needs_loop
def test_a_device_that_ends_early_is_found(card: LoopCard, tmp_path: Path) -> None:
    fault = spoil(card, two_pieces(tmp_path / "image"), "read back", lambda: os.truncate(card.backing, 5 * MIB))
    assert fault.cause is Cause.CARD
    assert fault.offset >= 5 * MIB


@needs_loop
def test_a_medium_that_is_full_is_found(tmp_path: Path) -> None:
    """A loop device on a tmpfs of 4 MiB that states 64 MiB: a counterfeit, as far as the block layer can tell."""
    point = tmp_path / "small"
    point.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", point)
    try:
        image = two_pieces(tmp_path / "image")
        with loop_card(tmp_path, 8 * MIB) as usual, contextlib.ExitStack() as stack:
            backing = point / "backing"
            backing.touch()
            os.truncate(backing, 64 * MIB)
            path = attach(backing)
            stack.callback(detach, path)
            made = LoopCard(path, backing, usual.machine)
            made.pose()
            with Source(image) as source, pytest.raises(Fault) as caught:
                job.to_disk(made.host(), "sdl", Wish(source.size), source, source.check(quiet), quiet, quiet)
        assert caught.value.cause in (Cause.CAPACITY, Cause.CARD)
    finally:
        run("umount", point)


@needs_loop
def test_old_contents_are_cleared_on_a_real_device(card: LoopCard) -> None:
    card.backing.write_bytes(b"\xa5" * (40 * MIB))
    with device.open_disk(card.disk(), WISH, card.host().read, card.roots().dev) as opened:
        write.invalidate(opened, [(8 * MIB, 4 * MIB)])
    raw = content(card)
    for offset in (0, 8 * MIB, 39 * MIB):
        assert raw[offset : offset + MIB] == bytes(MIB)
    assert raw[20 * MIB : 21 * MIB] == b"\xa5" * MIB


# --- this machine --------------------------------------------------------------------------------------------------


def test_no_disk_of_the_machine_that_runs_the_tests_backs_it_and_may_be_written() -> None:
    """The real /sys and /proc. What the root file system lies on is found and refused, where that is a disk."""
    found = disks.read(Roots(), job.ours(None))
    assert found.disks
    for disk in found.disks:
        names = {refusal.rule for refusal in rules.refusals(disk, found, Wish())}
        if any(node.mounted for node in disk.nodes):
            assert "mounted" in names
        if disk.bus not in disks.CARD_BUSES:
            assert "bus" in names
    root = next(mount for mount in read_mounts(Path("/proc/self/mountinfo"))[::-1] if mount.point == "/")
    if not root.number.startswith("0:"):
        assert any("/" in disk.backs for disk in found.disks), "the root file system lies on a disk that was not found"


@needs_loop
def test_blkid_says_what_is_on_a_device(card: LoopCard, in_tools: InTools) -> None:
    assert parse(*blkid(card.path)) == Signature()
    ext4(card, in_tools)
    assert parse(*blkid(card.path)).type == "ext4"
    with card.backing.open("r+b") as raw:
        raw.write(b"LUKS\xba\xbe\x00\x01")
    assert parse(*blkid(card.path)).usage == "crypto"
    with pytest.raises(OSError, match="No such file"):
        blkid(Path("/dev/no-such-disk"))


@pytest.mark.parametrize(("status", "text"), [(1, ""), (4, ""), (2, "TYPE=ext4\n"), (127, "")])
def test_an_answer_that_blkid_should_not_give_is_no_empty_disk(status: int, text: str) -> None:
    with pytest.raises(ValueError, match="status"):
        parse(status, text)


def test_a_label_cannot_write_on_the_terminal() -> None:
    found = parse(0, "TYPE=vfat\nUSAGE=filesystem\nLABEL=EVIL\x1b[2J\n")
    assert found.label == "EVIL[2J"
