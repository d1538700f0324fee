# SPDX-License-Identifier: MIT
"""The console on a bad serial line: it may give up, it may never be wrong. The far end is the board's own program."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from protopi.boot import frames
from protopi.boot.console import Console, Timeout
from protopi.boot.serialport import SerialPort
from tests.conftest import InTools
from tests.noisy_line import Noise, NoisyLine, start_report

PROJECT = Path(__file__).parent.parent
#: 1 % of the bytes dropped, 1 % changed, a kernel line every 500 bytes, stalls, and the adapter unplugged.
BAD = Noise(drop=0.01, flip=0.01, kernel=0.002, stall=0.01, unplug=0.003)
#: Lines at work at once: most of their time is waiting.
LINES = 10
FULL = 5000


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory, in_tools: InTools) -> Path:
    """The board's report program, compiled for this machine."""
    folder = tmp_path_factory.mktemp("report")
    (sources,) = re.findall(r"^REPORT := (.*)$", (PROJECT / "init/Makefile").read_text(), re.MULTILINE)
    command = ["gcc", "-std=c17", "-D_GNU_SOURCE", "-O1", "-Wall", "-Werror", "-I/host/project/init", "-o", "report"]
    in_tools([*command, *(f"/host/project/init/{name}" for name in sources.split())], folder)
    return folder / "report"


@dataclass
class Board:
    """A board behind a noisy line, and what it is known to hold."""

    line: NoisyLine
    run: Path
    console: Console

    def holds(self, text: bytes) -> None:
        """Change what `@get boot` will read."""
        fresh = self.run / "protopi/boot.new"
        fresh.write_bytes(text)
        fresh.rename(self.run / "protopi/boot")


@contextmanager
def board(tools_tree: Path, report: Path, folder: Path, noise: Noise, seed: int = 1) -> Iterator[Board]:
    """The report service at work behind a line that is clean until it has answered once."""
    run = folder / "run"
    (run / "protopi").mkdir(parents=True)
    for name in ("ssh", "time"):
        (run / "service" / name).mkdir(parents=True)
    with NoisyLine(folder, Noise(), seed) as line:
        process = start_report(tools_tree, report, run, line)
        port = SerialPort(str(line.device), reopen=10)
        console = Console.on(port, log=folder / "console.log", pause=0.03)
        try:
            assert console.get("boot", seconds=20) == b""
            line.noise = noise
            yield Board(line, run, console)
        finally:
            line.noise = Noise()
            port.close()
            assert console.join()
            process.terminate()
            process.wait(10)


@dataclass
class Tally:
    """What came of a campaign."""

    commands: int = 0
    right: int = 0
    wrong: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)

    def take(self, name: str, expected: object, given: object) -> None:
        """Count one command."""
        self.commands += 1
        if given == expected:
            self.right += 1
        elif isinstance(given, Timeout):
            self.incomplete.append(f"{name}: {given}")
        else:
            self.wrong.append(f"{name}: expected {expected!r}, got {given!r}")


def ask(console: Console, what: str) -> object:
    """The verdict on one command: a report, "unknown", or the Timeout that means that there is none."""
    try:
        return console.get(what, seconds=30)  # a busy host is no bad line
    except ValueError as error:
        return "unknown" if "no report" in str(error) else f"ValueError: {error}"
    except Timeout as error:
        return error


def drive(one: Board, count: int, seed: int, tally: Tally, guard: threading.Lock) -> None:
    """`count` commands on one board; what it holds is another each time, so that no stale answer can be right."""
    chance = random.Random(seed)
    for number in range(count):
        what = chance.choices(("boot", "services", "nonsense"), (70, 20, 10))[0]
        expected: object = {"services": b"ssh - - 0 - 0 failed\ntime - - 0 - 0 failed\n"}.get(what, "unknown")
        if what == "boot":
            expected = json.dumps({"n": number, "x": chance.randbytes(chance.randrange(120)).hex()}).encode()
            one.holds(expected)
        given = ask(one.console, what)
        with guard:
            tally.take(f"line {seed}, command {number}, {what}", expected, given)


def campaign(count: int, tools_tree: Path, report: Path, folder: Path, noise: Noise = BAD) -> Tally:
    """`count` commands over noisy lines; prints what it counted."""
    tally, guard, started = Tally(), threading.Lock(), time.monotonic()
    damage = [0] * 7

    def one_line(seed: int) -> None:
        own = folder / f"line{seed}"
        own.mkdir()
        with board(tools_tree, report, own, noise, seed) as one:
            drive(one, count // LINES, seed, tally, guard)
            assert not one.console.panicked
            assert (own / "console.log").read_bytes() == one.console.raw
            done = one.line.done
            got = (done.passed, done.dropped, done.flipped, done.kernel, done.stalls, done.unplugged)
            with guard:
                damage[:] = [a + b for a, b in zip(damage, (*got, len(one.console.gaps)), strict=True)]

    failures: list[BaseException] = []

    def guarded(seed: int) -> None:
        try:
            one_line(seed)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(seed,)) for seed in range(1, LINES + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    names = ("bytes", "dropped", "changed", "kernel lines", "stalls", "unplugged", "gaps seen")
    print(
        f"\nconsole: {tally.commands} commands, {tally.right} right, {len(tally.wrong)} wrong, "
        f"{len(tally.incomplete)} incomplete in {time.monotonic() - started:.0f} s; "
        + ", ".join(f"{value} {name}" for name, value in zip(names, damage, strict=True))
    )
    assert damage[1] > 0.008 * damage[0] or not noise.drop, "the line was not as bad as it should be"
    return tally


def judge(tally: Tally, count: int) -> None:
    """No wrong verdict, and 99.9 % complete."""
    assert tally.commands == count // LINES * LINES
    assert tally.wrong == []
    assert len(tally.incomplete) <= tally.commands / 1000, tally.incomplete


@pytest.mark.image
def test_no_verdict_is_wrong_on_a_bad_line(tools_tree: Path, report: Path, tmp_path: Path) -> None:
    judge(campaign(FULL // 10, tools_tree, report, tmp_path), FULL // 10)


@pytest.mark.image
@pytest.mark.full
@pytest.mark.timeout(3600)
def test_no_verdict_is_wrong_on_a_bad_line_full(tools_tree: Path, report: Path, tmp_path: Path) -> None:
    judge(campaign(FULL, tools_tree, report, tmp_path), FULL)


@pytest.mark.image
def test_the_campaign_finds_wrong_verdicts_when_no_checksum_is_checked(
    tools_tree: Path, report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "intact", lambda body, given: True)
    tally = campaign(80, tools_tree, report, tmp_path)
    assert tally.wrong, "a campaign that cannot find wrong verdicts proves nothing"
