# SPDX-License-Identifier: MIT
"""`board gate` as a user runs it: a board file, a serial device, programs that switch power, files and exit codes.

Behind the device is a stand-in that plays canned boots; it is on while a file exists, which the power programs make
and remove.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from protopi import boardfile
from protopi.commands import board_gate
from protopi.errors import GateError, InfraError, UserError
from protopi.hwgate import history
from protopi.hwgate.attempt import Patience
from protopi.hwgate.identity import disk_id_of
from protopi.hwgate.realboard import facts_of
from protopi.project import Project
from protopi.ui import Ui
from tests.hwgate_canned import DISK, Boot, CannedBench, answer

PROJECT = Project.here()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_gate, "PATIENCE", Patience(drain=0.05, off=0.2, boot=3.0, answer=2.0))


@contextmanager
def desk(folder: Path, boots: list[Boot]) -> Iterator[Path]:
    """A board on a desk; gives its board file."""
    master, slave = os.openpty()
    tty.setraw(slave)
    power, done = folder / "power", threading.Event()
    path = folder / "desk.yaml"
    path.write_text(
        f"serial:\n  device: {os.ttyname(slave)}\n"
        "power:\n  kind: command\n  cycle_seconds: 0.5\n"
        f"  on: [touch, {power}]\n  off: [rm, -f, {power}]\n"
        'revision: "1.4"\nmemory_mb: 4096\neeprom: "2025-05-08"\n'
    )

    def live() -> None:
        played = 0
        os.set_blocking(master, False)
        while not done.is_set():
            time.sleep(0.005)
            if not power.exists():
                continue
            boot = boots[min(played, len(boots) - 1)]
            played += 1
            end = time.monotonic() + boot.firmware + boot.entry
            while power.exists() and not done.is_set() and time.monotonic() < end:
                time.sleep(0.005)
            os.write(master, boot.boot_line() if boot.say is None else boot.say)
            heard = b""
            while power.exists() and not done.is_set():
                time.sleep(0.005)
                try:
                    heard += os.read(master, 65536)
                except BlockingIOError:
                    continue
                *questions, heard = heard.split(b"\n")
                for question in questions:
                    said = answer(question, boot.reports())
                    while said:
                        try:
                            said = said[os.write(master, said) :]
                        except BlockingIOError:
                            time.sleep(0.005)

    thread = threading.Thread(target=live, name="desk")
    thread.start()
    try:
        yield path
    finally:
        done.set()
        thread.join()
        os.close(slave)
        os.close(master)


def image(folder: Path, disk_id: str = DISK) -> Path:
    sector = bytearray(512)
    sector[440:444] = bytes.fromhex(disk_id)[::-1]
    sector[510:] = b"\x55\xaa"
    (folder / "pi4.img").write_bytes(sector)
    return folder / "pi4.img"


def gate(folder: Path, board: Path, *words: str) -> int:
    parser = argparse.ArgumentParser()
    board_gate.setup(parser)
    given = (str(board), "--history", str(folder / "history"), "--image", str(image(folder)), *words)
    return board_gate.run(parser.parse_args(given), PROJECT, Ui())


def test_a_board_is_gated_from_its_board_file_to_every_document(tmp_path: Path) -> None:
    words = ("--boots", "3", "--json", str(tmp_path / "run.json"), "--junit", str(tmp_path / "run.xml"))
    with desk(tmp_path, [Boot(firmware=0.35, timer=True)]) as board:
        assert gate(tmp_path, board, *words, "--html", str(tmp_path / "run.html")) == 0
    document = json.loads((tmp_path / "run.json").read_text())
    assert document["verdict"] == "PASS"
    assert document["measured_on"] == "stand-in: pseudo-terminal", "a program behind a terminal is no board"
    assert document["bench"]["eeprom"] == "2025-05-08"
    assert document["image"] == {"name": "pi4", "disk_id": DISK}
    assert [attempt["verdict"] for attempt in document["attempts"]] == ["PASS"] * 3
    assert document["phases"]["power_to_ready"]["median"] == pytest.approx(0.38, abs=1e-4)
    assert 0.37 < document["phases"]["power_to_ready_host"]["median"] < 5.0
    assert ElementTree.parse(tmp_path / "run.xml").getroot().get("tests") == "4"
    assert "<strong>PASS</strong>" in (tmp_path / "run.html").read_text()
    entries, bad = history.read(tmp_path / "history" / "desk.jsonl")
    assert (len(entries), bad, entries[0].times) == (1, 0, (0.03, 0.03, 0.03))


def test_fail_ends_with_4_and_infra_and_invalid_with_5(tmp_path: Path) -> None:
    with desk(tmp_path, [Boot(), Boot(entry=0.3)]) as board, pytest.raises(GateError) as failed:
        gate(tmp_path, board, "--boots", "2", "--limit", "0.2")
    assert failed.value.exit_code == 4
    with desk(tmp_path, [Boot(disk_id="deadbeef")]) as board, pytest.raises(InfraError, match="INVALID") as invalid:
        gate(tmp_path, board, "--boots", "1")
    assert invalid.value.exit_code == 5
    with desk(tmp_path, [Boot(say=b"", deaf=True)]) as board:
        text = board.read_text().replace("[touch", '["false"')
        board.write_text(text)
        with pytest.raises(InfraError, match="INFRA") as infra:
            gate(tmp_path, board, "--boots", "1")
    assert infra.value.exit_code == 5
    entries, _ = history.read(tmp_path / "history" / "desk.jsonl")
    assert [entry.verdict.value for entry in entries] == ["FAIL", "INVALID", "INFRA"]


def test_a_second_run_is_compared_with_the_first(tmp_path: Path) -> None:
    with desk(tmp_path, [Boot()] * 5 + [replace(Boot(), entry=0.06)]) as board:
        assert gate(tmp_path, board, "--boots", "5") == 0
        with pytest.raises(GateError):
            gate(tmp_path, board, "--boots", "5", "--json", str(tmp_path / "run.json"))
        document = json.loads((tmp_path / "run.json").read_text())
        assert document["comparison"]["finding"] == "slower"
        assert document["comparison"]["shift"] == pytest.approx(0.03, abs=1e-4)
        assert gate(tmp_path, board, "--boots", "5", "--accept", "a new driver") == 0


def test_json_on_stdout_is_alone_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with desk(tmp_path, [Boot()]) as board:
        gate(tmp_path, board, "--boots", "1", "--json", "-")
    assert json.loads(capsys.readouterr().out)["verdict"] == "PASS"


def test_what_is_missing_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "desk.yaml").write_text('power:\n  kind: command\n  on: ["true"]\n  off: ["true"]\n')
    with pytest.raises(UserError, match="serial line"):
        gate(tmp_path, tmp_path / "desk.yaml")
    (tmp_path / "desk.yaml").write_text("serial:\n  device: /dev/ttyUSB0\n")
    with pytest.raises(UserError, match="which image was flashed"):
        gate(tmp_path, tmp_path / "desk.yaml", "--image", "no-such-image")
    with pytest.raises(UserError, match="cannot be written"):
        gate(tmp_path, tmp_path / "desk.yaml", "--json", str(tmp_path / "none" / "run.json"))
    parser = argparse.ArgumentParser()
    board_gate.setup(parser)
    for words in ([], ["desk", "--stand-in", "pi4"]):
        with pytest.raises(UserError, match="name one board"):
            board_gate.run(parser.parse_args(words), PROJECT, Ui())
    for limit in ("0", "2.5", "fast"):
        with pytest.raises(SystemExit):
            parser.parse_args(["desk", "--limit", limit])


def test_an_image_is_known_by_its_disk_id(tmp_path: Path) -> None:
    assert disk_id_of(image(tmp_path, "0badcafe")) == "0badcafe"
    (tmp_path / "text.img").write_text("no image")
    with pytest.raises(UserError, match="no MBR"):
        disk_id_of(tmp_path / "text.img")
    with pytest.raises(UserError, match="cannot be read"):
        disk_id_of(tmp_path / "none.img")


def test_a_person_s_switch_gives_no_time_since_power_on(tmp_path: Path) -> None:
    (tmp_path / "desk.yaml").write_text("serial:\n  device: /dev/ttyUSB0\n")
    facts = facts_of(boardfile.load(str(tmp_path / "desk.yaml")))
    assert (facts.by_hand, facts.power, facts.real) == (True, "by hand", True)


class Place(CannedBench):
    """What protopi.labgrid.Place is: a switch and a line in one."""

    def __init__(self) -> None:
        super().__init__([Boot()])
        self.closed = False

    def read(self) -> bytes:
        while not self.closed:
            if select.select([self.near], [], [], 0.02)[0]:
                return os.read(self.near, 65536)
        return b""

    def write(self, data: bytes) -> None:
        os.write(self.near, data)

    def close(self) -> None:
        self.closed = True


def test_a_labgrid_place_gives_power_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "desk.yaml").write_text("labgrid:\n  place: bench-3\n")
    with Place() as place:
        monkeypatch.setattr("protopi.labgrid.Place.of", lambda board: place)
        words = ("--boots", "2", "--json", str(tmp_path / "run.json"))
        assert gate(tmp_path, tmp_path / "desk.yaml", *words) == 0
    document = json.loads((tmp_path / "run.json").read_text())
    assert document["bench"]["power"] == "labgrid place bench-3"
    assert len(document["attempts"]) == 2
    assert place.closed


def test_the_power_curve_is_printed_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    board_gate.setup(parser)
    words = ["--power-curve", "--pairs", "2", "--boots", "5", "--svg", str(tmp_path / "curve.svg")]
    assert board_gate.run(parser.parse_args(words), PROJECT, Ui()) == 0
    assert "50 ms slower: alarm in" in capsys.readouterr().out
    ElementTree.parse(tmp_path / "curve.svg")
