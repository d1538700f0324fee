# SPDX-License-Identifier: MIT
"""The wrong disk is never written: 120 machines, every combination of flags, and a writer that counts bytes."""

from __future__ import annotations

import argparse
import dataclasses
import io
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from protopi import boardfile
from protopi.commands import flash
from protopi.errors import InfraError, UserError, UserErrors
from protopi.flash import disks, listing, rules
from protopi.flash.disks import Disk
from protopi.flash.job import Host
from protopi.flash.rules import Wish
from protopi.flash.signature import Signature
from protopi.project import Project
from protopi.ui import Ui
from tests import flash_images
from tests.flash_machines import Expected, Machine, machines, rows
from tests.flash_targets import Sparse

#: Flags that register nothing: a development image, a board file with another serial (or none), who answers, how the
#: disk is named (the last: not at all).
FLAGS = tuple(
    itertools.product((False, True), ("", "other", "no card"), ("nobody", "right", "wrong"), ("name", "by-id", ""))
)


SMALL = ["-nvme0n1 nvme 512G : 2=ext4@/", "+sdb usb 32G serial=R1 : 1=vfat"]


@pytest.fixture(scope="module")
def all_machines(tmp_path_factory: pytest.TempPathFactory) -> list[Machine]:
    return machines(tmp_path_factory.mktemp("machines"))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return flash_images.tiny(tmp_path_factory.mktemp("image"))


def test_there_are_120_machines_and_each_tells_another_story(all_machines: list[Machine]) -> None:
    assert len(all_machines) == 120
    assert len({tuple(lines) for _, lines in rows()}) == 120
    met = {expected.rule for machine in all_machines for expected in machine.disks} - {""}
    assert met == {rule.name for rule in rules.TABLE}


def test_each_disk_of_each_machine_is_judged_as_the_table_says(all_machines: list[Machine], image: Path) -> None:
    wrong = []
    for machine in all_machines:
        found = disks.read(machine.roots, machine.ours)
        for expected in machine.disks:
            disk = next(disk for disk in found.disks if disk.name == expected.name)
            names = [refusal.rule for refusal in rules.refusals(disk, found, Wish(image.stat().st_size))]
            if expected.allowed is bool(names) or (expected.rule and expected.rule not in names):
                wrong.append(f"{machine.name}: {expected}: {names}")
    assert wrong == []


def test_what_holds_a_disk_is_no_disk_that_may_be_written_either(all_machines: list[Machine]) -> None:
    named = {(machine.name, expected.name) for machine in all_machines for expected in machine.disks}
    for machine in all_machines:
        found = disks.read(machine.roots, machine.ours)
        others = [disk for disk in found.disks if (machine.name, disk.name) not in named]
        assert all(rules.refusals(disk, found, Wish()) for disk in others), machine.name


class Counter:
    """Opens a card in memory for each disk that is opened; counts."""

    def __init__(self) -> None:
        self.targets: list[Sparse] = []

    def open(self, disk: Disk, _wish: Wish, _again: Callable[[], disks.Machine], _dev: Path) -> Sparse:
        self.targets.append(Sparse(disk.size, disk.name))
        return self.targets[-1]

    @property
    def written(self) -> int:
        return sum(target.bytes_written for target in self.targets)


def board_files(folder: Path) -> dict[str, str]:
    folder.mkdir()
    (folder / "other.yaml").write_text('card:\n  serials: ["somebody-elses"]\n')
    (folder / "plain.yaml").write_text("board: pi4\n")
    return {"other": str(folder / "other.yaml"), "no card": str(folder / "plain.yaml"), "": ""}


def attempts(
    all_machines: list[Machine], image: Path, folder: Path, patch: pytest.MonkeyPatch, count: int
) -> Iterator[tuple[Machine, Expected, bool, bool, int]]:
    """Run the command for disks of machines with flags: (machine, disk, confirmed, accepted, bytes written)."""
    boards = board_files(folder)
    assert all(boardfile.load(path) for path in boards.values() if path)  # what follows is refused for the disk alone
    ui = Ui(Console(file=io.StringIO(), soft_wrap=True))
    every = [(machine, expected, flags) for machine in all_machines for expected in machine.disks for flags in FLAGS]
    # A step that has no factor in common with the number of flags, so that a part of all goes through every flag.
    step = max(len(every) // count, 1)
    step += 1 - step % 2
    while step % 3 == 0:
        step += 2
    for machine, expected, (dev, board, who, form) in every[::step] if count < len(every) else every:
        links = sorted((machine.root / "dev/disk/by-id").iterdir())
        link = next((str(p) for p in links if p.resolve().name == expected.name), f"/dev/{expected.name}")
        word = {"name": expected.name, "by-id": link, "": ""}[form]
        answers = {"nobody": None, "right": lambda _, n=expected.name: n + "\n", "wrong": lambda _: "sdx\n"}
        counter = Counter()
        host = Host(machine.roots, machine.ours, answers[who], counter.open)
        patch.setattr(flash, "_host", lambda *_, host=host: host)
        arguments = argparse.Namespace(
            image=str(image), device=word, list=False, board=boards[board] or None, no_provision=True, dev=dev, size=0
        )
        try:
            accepted = flash.run(arguments, Project.here(), ui) == 0
        except UserErrors:
            accepted = False
        yield machine, expected, who == "right" and form != "", accepted, counter.written


def run_flags(
    all_machines: list[Machine], image: Path, folder: Path, patch: pytest.MonkeyPatch, count: int
) -> tuple[int, int, int]:
    """(runs on refused disks, bytes written to them, cards written); fails on any card that is not accepted."""
    start, runs, leaked, cards = time.monotonic(), 0, 0, 0
    for machine, expected, confirmed, accepted, written in attempts(all_machines, image, folder / "b", patch, count):
        if expected.allowed and confirmed:
            assert accepted, f"{machine.name}: {expected.name}"
            assert written > 0, f"{machine.name}: {expected.name}"
            cards += 1
        else:
            assert not accepted, f"{machine.name}: {expected.name}"
            runs += 1
            leaked += written
    took = time.monotonic() - start
    print(f"wrong disk: {runs} runs on disks that may not be written, {leaked} bytes written; {cards} cards written; "
          f"120 machines, {took:.1f} s")  # fmt: skip
    return runs, leaked, cards


def test_no_combination_of_flags_writes_a_refused_disk(
    all_machines: list[Machine], image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, leaked, cards = run_flags(all_machines, image, tmp_path, monkeypatch, total(all_machines) // 10)
    assert leaked == 0
    assert runs > 1000
    assert cards > 20


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_no_combination_of_flags_writes_a_refused_disk_full(
    all_machines: list[Machine], image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = total(all_machines)
    runs, leaked, cards = run_flags(all_machines, image, tmp_path, monkeypatch, count)
    assert (leaked, runs + cards) == (0, count)


def total(all_machines: list[Machine]) -> int:
    return sum(len(machine.disks) for machine in all_machines) * len(FLAGS)


@pytest.mark.parametrize("rule", [rule.name for rule in rules.TABLE if rule.name not in ("no medium", "too small")])
def test_without_a_row_of_the_table_some_disk_would_be_written(
    rule: str, all_machines: list[Machine], image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: every row is needed by some machine, so a row that never objects is noticed."""
    monkeypatch.setattr(rules, "TABLE", tuple(row for row in rules.TABLE if row.name != rule))
    freed = 0
    for machine in all_machines:
        found = disks.read(machine.roots, machine.ours)
        for expected in machine.disks:
            disk = next(disk for disk in found.disks if disk.name == expected.name)
            freed += not expected.allowed and not rules.refusals(disk, found, Wish(image.stat().st_size))
    # These stand behind others, as a second line: no machine depends on them alone.
    assert freed > 0 or rule in ("swap", "mounted", "backs", "bus", "boot area", "held"), rule


def lone(machine_name: str, all_machines: list[Machine]) -> Machine:
    return next(machine for machine in all_machines if machine.name == machine_name)


@pytest.mark.parametrize(
    ("name", "disk"),
    [
        ("nvme: 512 GB card", "mmcblk0"),
        ("nvme: USB disk of 2 TB that says it is removable", "sdb"),
        ("nvme: eMMC that nothing is mounted from", "mmcblk0"),
        ("container: a card in a container that hides the host", "sdb"),
    ],
)
def test_a_registered_serial_lifts_size_and_emmc(name: str, disk: str, all_machines: list[Machine]) -> None:
    machine = lone(name, all_machines)
    found = disks.read(machine.roots, machine.ours)
    one = next(d for d in found.disks if d.name == disk)
    assert rules.refusals(one, found, Wish())
    assert rules.refusals(one, found, Wish(registered=frozenset({one.serial}))) == ()
    assert rules.select(found, "", Wish(registered=frozenset({one.serial})), machine.roots) == one


def test_a_registered_serial_lifts_nothing_else(all_machines: list[Machine]) -> None:
    lifted = {rule.name for rule in rules.TABLE if rule.lifted}
    for machine in all_machines:
        found = disks.read(machine.roots, machine.ours)
        for disk in found.disks:
            known = Wish(registered=frozenset({disk.serial} - {""}))
            before = {refusal.rule for refusal in rules.refusals(disk, found, Wish())}
            after = {refusal.rule for refusal in rules.refusals(disk, found, known)}
            assert after == (before - lifted if disk.serial else before), f"{machine.name}: {disk.name}"


def test_without_a_terminal_the_serial_must_be_registered(
    all_machines: list[Machine], image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = lone("luks: card with an older Protopi", all_machines)
    (tmp_path / "desk.yaml").write_text("card:\n  serials: ['000000001201']\n")
    arguments = argparse.Namespace(
        image=str(image), device="sda", list=False, board=None, no_provision=True, dev=False, size=0
    )
    ui = Ui(Console(file=io.StringIO(), soft_wrap=True))
    for board, device, good in (("", "sda", False), ("desk.yaml", "sda", True), ("desk.yaml", "", True)):
        counter = Counter()
        host = Host(machine.roots, machine.ours, None, counter.open)
        monkeypatch.setattr(flash, "_host", lambda *_, host=host: host)
        arguments.board, arguments.device = str(tmp_path / board) if board else None, device
        if good:
            assert flash.run(arguments, Project.here(), ui) == 0
            assert counter.written > 0
        else:
            with pytest.raises(UserError, match=r"nobody can be asked .* \(000000001201\) is not registered"):
                flash.run(arguments, Project.here(), ui)
            assert counter.targets == []


def test_more_than_one_match_is_refused(all_machines: list[Machine]) -> None:
    machine = lone("sata: two readers, serials of their own", all_machines)
    found = disks.read(machine.roots, machine.ours)
    with pytest.raises(UserError, match="2 disks have a registered serial"):
        rules.select(found, "", Wish(registered=frozenset({"A", "B"})), machine.roots)
    with pytest.raises(UserError, match="0 disks have a registered serial"):
        rules.select(found, "", Wish(registered=frozenset({"C"})), machine.roots)
    with pytest.raises(UserError, match="no disk was named"):
        rules.select(found, "", Wish(), machine.roots)


def test_a_partition_or_a_missing_disk_is_not_guessed(all_machines: list[Machine]) -> None:
    machine = lone("sata: card with Raspberry Pi OS", all_machines)
    found = disks.read(machine.roots, machine.ours)
    with pytest.raises(UserError, match="name the whole disk: sdb"):
        rules.select(found, "/dev/sdb1", Wish(), machine.roots)
    for word in ("sdz", "/dev/sdz", "../etc/passwd", "/dev", "sd"):
        with pytest.raises(UserError, match="there is no disk"):
            rules.select(found, word, Wish(), machine.roots)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("sys/block", None),
        ("mountinfo", None),
        ("mountinfo", ""),
        ("mountinfo", "30 1 8:1 / / rw ext4 /dev/sda1 rw\n"),
        ("mountinfo", "30 1 0:22 / /proc rw - proc proc rw\n"),
        ("swaps", None),
        ("swaps", ""),
        ("sys/block/sdb/size", None),
        ("sys/block/sdb/size", "many\n"),
        ("sys/block/sdb/removable", None),
        ("sys/block/sdb/ro", ""),
        ("sys/block/sdb/dev", None),
        ("sys/block/sdb/sdb1/start", None),
        ("sys/block/sdb/queue/logical_block_size", None),
    ],
)
def test_a_reader_that_fails_is_an_error_and_no_empty_list(path: str, content: str | None, tmp_path: Path) -> None:
    machine = Machine("m", tmp_path / "m").make(SMALL)
    target = machine.root / path
    if content is None:
        target.rename(target.with_name("gone"))
    else:
        target.write_text(content)
    with pytest.raises(InfraError):
        disks.read(machine.roots, machine.ours)


def test_a_disk_that_is_pulled_out_while_looking_is_just_gone(tmp_path: Path) -> None:
    machine = Machine("m", tmp_path / "m").make(SMALL)
    (machine.root / "sys/block/sdc").symlink_to("../devices/gone/block/sdc")
    found = disks.read(machine.roots, machine.ours)
    assert [disk.name for disk in found.disks] == ["nvme0n1", "sdb"]


def test_the_list_shows_what_may_be_written_and_why_not(all_machines: list[Machine]) -> None:
    machine = lone("luks: card with an older Protopi", all_machines)
    text = listing.table(disks.read(machine.roots, machine.ours), Wish())
    may, refused = text.split("refused:")
    assert "sda  32.0 GB  usb  Generic STORAGE DEVICE  serial 000000001201" in may
    assert 'sda1 vfat "PROTOPI"' in may
    assert "by-id/usb-Some_Model_000000001201-0:0" in may
    assert "nvme0n1" in refused
    assert "this system lives on it: /, /home, /boot" in refused
    assert "umount" not in refused  # no advice to unmount the system
    empty = lone("nvme: empty reader", all_machines)
    text = listing.table(disks.read(empty.roots, empty.ours), Wish())
    assert text.startswith("no card that may be written is here")
    assert text.endswith("without a card: sdb")


@pytest.mark.parametrize("name", ["swap", "bus", "boot area", "held", "backs", "mounted"])
def test_a_second_line_stands_by_itself(name: str) -> None:
    """Rows that other rows cover on every machine of the table: each objects alone, too."""
    node = disks.Node("sdb", "8:16", 32 * 10**9, signature=Signature())
    link = Path("/dev/disk/by-id/usb-x")
    card = Disk(name="sdb", number="8:16", sequence=7, size=node.size, sector=512, bus="usb", kind="0", model="m",
                serial="S", lun="0", removable=True, read_only=False, boot_area=False, path=Path("/dev/sdb"),
                by_id=(link,), nodes=(node,))  # fmt: skip
    machine = disks.Machine((card,))
    assert rules.refusals(card, machine, Wish()) == ()
    (clean,) = card.nodes
    changed = {
        "swap": dataclasses.replace(card, nodes=(dataclasses.replace(clean, swap=True),)),
        "bus": dataclasses.replace(card, bus="ata"),
        "boot area": dataclasses.replace(card, boot_area=True),
        "held": dataclasses.replace(card, nodes=(dataclasses.replace(clean, above=("dm-0",)),)),
        "backs": dataclasses.replace(card, backs=("the store",)),
        "mounted": dataclasses.replace(card, nodes=(dataclasses.replace(clean, mounted=("/mnt",)),)),
    }[name]
    assert [refusal.rule for refusal in rules.refusals(changed, machine, Wish())] == [name]
