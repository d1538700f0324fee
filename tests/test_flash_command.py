# SPDX-License-Identifier: MIT
"""The command `flash`: which images it takes, where it writes them, and what a signal leaves behind."""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from protopi.boot import firmware
from protopi.boot.firmware import FirmwareRefusal
from protopi.commands import flash
from protopi.errors import UserError
from protopi.flash.disks import Disk, Roots
from protopi.flash.job import Host
from protopi.flash.progress import FlashProgress
from protopi.flash.provenance import CONSOLE_SHELL
from protopi.flash.source import Source
from protopi.flash.target import Descriptor
from protopi.project import Project
from protopi.ui import Ui
from tests import flash_images
from tests.conftest import InTools
from tests.flash_machines import Machine

MIB = 1 << 20


def ui_to(text: io.StringIO) -> Ui:
    return Ui(Console(file=text, soft_wrap=True))


def run(image: Path | str | None, device: str, *words: str) -> str:
    """Run the command as its parser would; returns what it said."""
    said = io.StringIO()
    parser = argparse.ArgumentParser()
    flash.setup(parser)
    command = [str(image), device] if image else []
    assert flash.run(parser.parse_args([*command, *words]), Project.here(), ui_to(said)) == 0
    return said.getvalue()


# --- which image ---------------------------------------------------------------------------------------------------


def test_an_image_with_a_root_shell_on_its_console_takes_dev(tmp_path: Path) -> None:
    image = flash_images.tiny(tmp_path / "i", shell=True)
    with pytest.raises(UserError, match=r"development image.*serial line is root"):
        run(image, str(tmp_path / "card.img"))
    assert not (tmp_path / "card.img").exists()
    assert "every byte is as in the image" in run(image, str(tmp_path / "card.img"), "--dev")


def test_the_name_of_a_file_proves_nothing(tmp_path: Path) -> None:
    """A development image under a release image's name, and beside a release image's manifest."""
    shell = flash_images.tiny(tmp_path / "shell", shell=True, seed=2)
    plain = flash_images.tiny(tmp_path / "plain", seed=3)
    for name in ("tiny.img", "tiny.bmap"):
        (plain.parent / name).write_bytes((shell.parent / name).read_bytes())
    with pytest.raises(UserError, match=r"manifest\.json is another image's"):
        run(plain, str(tmp_path / "card.img"))
    # With the release image's map, its bytes are not what the map says.
    flash_images.tiny(tmp_path / "plain", seed=3)
    plain.write_bytes(shell.read_bytes())
    with pytest.raises(UserError, match="differ from its block map"):
        run(plain, str(tmp_path / "card.img"))
    assert not (tmp_path / "card.img").exists()


@pytest.mark.parametrize(
    ("manifest", "doubt"),
    [(None, "there is no manifest.json"), ("{", "damaged"), ("[]", "damaged"), ("{}", "damaged"),
     ('{"image":"a","board":"b","outputs":{"x":{}},"rootfs":{"files":{}}}', "damaged")],
)  # fmt: skip
def test_an_image_of_unknown_origin_takes_dev(manifest: str | None, doubt: str, tmp_path: Path) -> None:
    image = flash_images.tiny(tmp_path / "i")
    path = image.parent / "manifest.json"
    path.unlink()
    if manifest is not None:
        path.write_text(manifest)
    with pytest.raises(UserError, match=doubt):
        run(image, str(tmp_path / "card.img"))
    run(image, str(tmp_path / "card.img"), "--dev")


def test_without_a_map_the_whole_image_is_written_and_said_so(tmp_path: Path) -> None:
    image = flash_images.tiny(tmp_path / "i")
    image.with_suffix(".bmap").unlink()
    said = run(image, str(tmp_path / "card.img"))
    assert "tiny.bmap is not there: all 1.0 MiB are written" in said
    assert (tmp_path / "card.img").read_bytes() == image.read_bytes()


def test_the_file_that_tells_of_a_shell_is_the_one_that_the_image_has() -> None:
    """The name is known in two places: where an image gets the file, and here."""
    recipe = (Project.here().root / "recipes/rootfs.py").read_text()
    assert f'tree.write("{CONSOLE_SHELL.strip("/")}"' in recipe


# --- where to ------------------------------------------------------------------------------------------------------


def test_a_new_file_has_the_size_that_was_asked_for(tmp_path: Path) -> None:
    image = flash_images.tiny(tmp_path / "i")
    run(image, str(tmp_path / "card.img"), "--size", "64M")
    assert (tmp_path / "card.img").stat().st_size == 64 * MIB
    for device, words, reason in (
        (str(tmp_path / "card.img"), (), "exists"),
        (str(tmp_path / "small.img"), ("--size", "512K"), "do not do for an image"),
        (str(tmp_path / "none/card.img"), (), "cannot be made"),
        ("/dev/card.img", (), "is not there"),
        (str(image), (), "exists"),
    ):
        with pytest.raises(UserError, match=reason):
            run(image, device, *words)
    with pytest.raises(UserError, match="a size is for a new file"):
        run(image, "sdb", "--size", "1G")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["card.img", "i"]


def test_a_stream_is_the_image_and_nothing_else(tmp_path: Path) -> None:
    image = flash_images.tiny(tmp_path / "i")
    command = [sys.executable, "-m", "build", "flash", str(image), "-"]
    done = subprocess.run(command, cwd=Project.here().root, capture_output=True, check=True)
    assert done.stdout == image.read_bytes()
    assert b"cannot be read back" in done.stderr


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no image was named"):
        run(None, "")
    with pytest.raises(UserError, match="--list takes no image"):
        run("pi4", "", "--list")
    with pytest.raises(UserError, match="there is no image file"):
        run(tmp_path / "gone.img", "sdb")


def test_progress_is_a_few_plain_lines_without_a_terminal() -> None:
    said = io.StringIO()
    with FlashProgress(ui_to(said)) as report:
        for done in range(0, 101):
            report("write", done * MIB, 100 * MIB)
    assert said.getvalue().count("\n") == 4
    assert "write: 100.0 MiB of 100.0 MiB" in said.getvalue()


# --- a card behind a mux -------------------------------------------------------------------------------------------


def test_a_card_behind_a_mux_is_taken_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = flash_images.tiny(tmp_path / "i")
    card = tmp_path / "card"
    card.write_bytes(bytes(64_000_000))
    disks = ["-nvme0n1 nvme 512G : 2=ext4@/"]
    without = Machine("m", tmp_path / "without").make(disks)
    with_card = Machine("m", tmp_path / "with").make([*disks, "+sdl usb 64M serial=MUX00001"])
    shown = tmp_path / "machine"
    shown.symlink_to(without.root)
    roots = Roots(shown / "sys", shown / "dev", shown / "mountinfo", shown / "swaps", probe=lambda _: (2, ""))

    def opened(disk: Disk, *_: object) -> Descriptor:
        return Descriptor(disk.name, os.open(card, os.O_RDWR), card.stat().st_size, device=True)

    host = Host(roots, {}, ask=None, open=opened)
    monkeypatch.setitem(vars(flash), "_host", lambda *_: host)
    monkeypatch.setattr(flash, "MUX_SECONDS", 2.0)
    board = tmp_path / "desk.yaml"
    link = ["ln", "-sfn"]
    board.write_text(
        json.dumps(
            {
                "board": "pi4",
                "card": {"serials": ["MUX00001"]},
                "sd_mux": {
                    "to_host": [*link, str(with_card.root), str(shown)],
                    "to_board": [*link, str(without.root), str(shown)],
                },
            }
        )
    )
    said = run(image, "", "--board", str(board), "--no-provision", "--dev")
    assert "every byte is as in the image" in said
    assert shown.resolve() == without.root.resolve(), "the card was not given back to the board"
    # Control: a mux that gives no card.
    board.write_text(board.read_text().replace(str(with_card.root), str(without.root)))
    with pytest.raises(UserError, match="0 disks have a registered serial"):
        run(image, "", "--board", str(board), "--no-provision", "--dev")


# --- signals -------------------------------------------------------------------------------------------------------


def run_signals(image: Path, older: Path, folder: Path, count: int) -> dict[str, int]:
    """Interrupt `count` runs of the real command at random moments; counts what the firmware stand-in then says."""
    start, noise = time.monotonic(), random.Random(3)
    machine = Machine("m", folder / "machine").make(["-nvme0n1 nvme 512G : 2=ext4@/", "+sdl usb 80M serial=LOOP0001"])
    card, counts = folder / "card", {"refused": 0, "old": 0, "complete": 0, "half-written and boots": 0}
    kernels = {firmware.boot(older).kernel: "old", firmware.boot(image).kernel: "complete"}
    with Source(image) as source:
        ranges = source.ranges
    for number in range(count):
        before = older.read_bytes().ljust(80_000_000 // 512 * 512, b"\xa5")
        card.write_bytes(before)
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.flash_driver", machine.root, image, card],
            cwd=Project.here().root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert child.stdout
        assert child.stdout.readline() == "writing\n"
        time.sleep(noise.uniform(0.0, 0.9))
        child.send_signal((signal.SIGINT, signal.SIGTERM, signal.SIGKILL)[number % 3])
        _, error = child.communicate(timeout=60)
        assert child.returncode in (130, -signal.SIGKILL, 0), error
        assert child.returncode != 130 or "interrupted" in error
        try:
            kind = kernels.get(firmware.boot(card).kernel, "half-written and boots")
        except FirmwareRefusal:
            kind = "refused"
        after, wanted = card.read_bytes(), image.read_bytes()
        same = (
            before == after
            if kind == "old"
            else all(after[r.offset : r.end] == wanted[r.offset : r.end] for r in ranges)
        )
        counts[kind if kind == "refused" or same else "half-written and boots"] += 1
    print(f"signals: {count} runs interrupted: {counts}; {time.monotonic() - start:.1f} s")
    return counts


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, in_tools: InTools) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    return (flash_images.real(folder / "new", in_tools, version=b"2"),
            flash_images.real(folder / "old", in_tools, version=b"1"))  # fmt: skip


def test_a_signal_never_leaves_a_half_written_card_that_boots(pair: tuple[Path, Path], tmp_path: Path) -> None:
    counts = run_signals(*pair, tmp_path, 3)
    assert counts["half-written and boots"] == 0
    assert counts["refused"] > 0


@pytest.mark.full
def test_a_signal_never_leaves_a_half_written_card_that_boots_full(pair: tuple[Path, Path], tmp_path: Path) -> None:
    counts = run_signals(*pair, tmp_path, 30)
    assert counts["half-written and boots"] == 0
    assert counts["refused"] > 10


def test_the_list_of_this_machine_can_be_made(capsys: pytest.CaptureFixture[str]) -> None:
    run(None, "", "--list")
    said = capsys.readouterr().out
    assert said.startswith(("may be written:", "no card that may be written is here"))
