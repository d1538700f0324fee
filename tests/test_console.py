# SPDX-License-Identifier: MIT
from __future__ import annotations

import base64
import json
import os
import socket
import threading
import time
import tty
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pytest

from protopi.boot.console import Console, Gap, Timeout
from protopi.boot.frames import Answer, check, crc, unseal
from protopi.boot.serialport import SerialPort
from protopi.boot.terminal import Terminal
from protopi.errors import InfraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BOOT = {"v": 1, "cntfrq": 62500000, "cntvct": {"init": 5, "ready": 9}}
KERNEL_LINE = b"[    1.234567] usb 1-1: new device\r\n"


def frame(word: str, body: bytes) -> bytes:
    return b"@%s %s %s\r\n" % (word.encode(), body, crc(body))


def boot_line() -> bytes:
    return frame("boot", json.dumps(BOOT).encode())


def part(question: bytes, report: bytes, *, only: slice = slice(None), seal: bytes = b"") -> bytes:
    """A good board's frames for a question, or some of them."""
    _, seq, nonce, _, offset, length, size, _ = question.split()
    stream = report + (seal or crc(report))
    end = int(offset) + int(length) if int(length) else len(stream)
    cuts = range(int(offset), min(end, len(stream)), int(size))
    lines = [
        frame("part", b"%s %s %d %d %s" % (seq, nonce, at, len(stream), base64.b64encode(stream[at : at + int(size)])))
        for at in cuts
    ]
    return b"".join(lines[only])


def fed(*pieces: bytes) -> Console:
    console = Console(lambda: b"", lambda _: None)
    for piece in pieces:
        console.feed(piece)
    return console


@contextmanager
def board(answer: Callable[[bytes], bytes], pause: float = 1.0) -> Iterator[Console]:
    """A console whose other end answers each line it is sent, in a thread."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs, theirs.makefile("rb") as lines:
            for line in lines:
                theirs.sendall(answer(line.strip()))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Console(lambda: ours.recv(4096), ours.sendall, pause=pause).start()
    finally:
        ours.shutdown(socket.SHUT_WR)
        thread.join()
        ours.close()


def test_a_marker_is_taken_with_what_came_before() -> None:
    console = fed(b"hello\r\n", boot_line())
    marker = console.wait_marker(0)
    assert marker is not None
    assert marker.data == BOOT
    assert marker.before == 7
    assert not console.damaged


def test_a_marker_may_come_in_any_pieces() -> None:
    console = fed(*(bytes([byte]) for byte in b"x\r\n" + boot_line()))
    marker = console.wait_marker(0)
    assert marker is not None
    assert marker.before == 3


@pytest.mark.parametrize("at", [1, 6, 20, 60])
@pytest.mark.parametrize("lines", [1, 3])
def test_kernel_text_in_the_middle_does_no_harm(at: int, lines: int) -> None:
    line = boot_line()
    console = fed(line[:at], KERNEL_LINE * lines, line[at:], b"after\r\n")
    if at < 6:  # "@" alone is no frame yet: the report service can be asked for it
        assert console.wait_marker(0) is None
        assert not console.damaged
        return
    marker = console.wait_marker(0)
    assert marker is not None
    assert marker.data == BOOT


def test_kernel_text_before_a_frame_on_the_same_line_does_no_harm() -> None:
    marker = fed(b"[    1.000000] half a line ", boot_line()).wait_marker(0)
    assert marker is not None
    assert marker.before == 27


def test_a_wrong_crc_is_never_a_marker() -> None:
    line = boot_line()
    damaged = line.replace(b'"init": 5', b'"init": 6')
    console = fed(damaged, b"more\r\n")
    assert console.wait_marker(0) is None
    assert console.damaged
    assert check(damaged) is None


def test_a_frame_that_never_ends_is_damaged() -> None:
    line = boot_line()
    console = fed(line[:30], KERNEL_LINE, b"something else\r\n", boot_line())
    assert console.damaged
    assert console.markers == 1


@pytest.mark.parametrize(
    "text",
    [
        b"[    2.000000] Kernel panic - not syncing: Attempted to kill init!",
        b"[    2.0] Internal error: Oops: 0000000096000004 [#1] SMP",
        b"[    0.1] ------------[ cut here ]------------",
    ],
)
def test_a_panic_ends_the_wait(text: bytes) -> None:
    console = fed(text + b"\r\n")
    assert console.wait_marker(60) is None
    assert console.panicked


def test_a_failure_of_pid_1_ends_the_wait() -> None:
    console = fed(frame("fail", b'{"v":1,"stage":"module","errno":8}'))
    assert console.wait_marker(60) is None
    assert console.failure == {"v": 1, "stage": "module", "errno": 8}


def test_a_second_marker_is_a_reset() -> None:
    assert fed(boot_line(), boot_line()).markers == 2


LONG = bytes(range(256)) * 8


def test_get_puts_the_parts_together() -> None:
    def answer(line: bytes) -> bytes:
        frames = part(line, LONG).splitlines(keepends=True)
        return line + b"\r\n" + b"".join(reversed(frames))

    with board(answer) as console:
        assert console.get("kmsg", seconds=5) == LONG


def test_get_takes_an_empty_answer() -> None:
    with board(lambda line: part(line, b"")) as console:
        assert console.get("services", seconds=5) == b""


def test_what_is_lost_or_damaged_is_asked_for_again_of_the_same_reading() -> None:
    asked: list[list[bytes]] = []

    def answer(line: bytes) -> bytes:
        asked.append(line.split())
        if len(asked) == 1:
            return part(line, LONG, only=slice(1, None))
        good = part(line, LONG)
        if len(asked) == 2:
            return good.replace(b"@part", b"@part ", 1)
        return good[:12] + KERNEL_LINE + good[12:]

    with board(answer, pause=0.1) as console:
        assert console.get("kmsg", seconds=5) == LONG
    assert len({tuple(words[1:4]) for words in asked}) == 1
    assert [words[4:7] for words in asked] == [[b"0", b"0", b"512"], [b"0", b"512", b"512"], [b"0", b"512", b"128"]]


def test_parts_of_two_readings_never_pass_as_one() -> None:
    """The report service was started anew in between: it reads again, under the same number."""
    asked: list[bytes] = []

    def answer(line: bytes) -> bytes:
        asked.append(line)
        if len(asked) == 1:
            return part(line, b"a" * 900, only=slice(0, 1))
        return part(line, b"b" * 900)

    with board(answer, pause=0.1) as console:
        assert console.get("kmsg", seconds=5) == b"b" * 900
    assert asked[0].split()[1] == asked[1].split()[1] != asked[-1].split()[1]


def test_a_report_with_a_wrong_seal_is_none() -> None:
    with board(lambda line: part(line, b"text", seal=b"00000000")) as console, pytest.raises(Timeout, match="readings"):
        console.get("kmsg", seconds=1)
    assert unseal(b"text" + crc(b"text")) == b"text"
    assert unseal(b"tExt" + crc(b"text")) is None


def test_a_slow_board_is_given_time() -> None:
    """Questions that are repeated meanwhile are about the same reading, and do no harm."""

    def answer(line: bytes) -> bytes:
        time.sleep(0.3)
        return part(line, b"slow")

    with board(answer, pause=0.05) as console:
        assert console.get("kmsg", seconds=5) == b"slow"


def test_get_gives_up_and_takes_no_stale_answer() -> None:
    stale = part(b"@get 1 00000000 kmsg 0 0 512 -", b"stale")
    with board(lambda line: stale, pause=0.1) as console, pytest.raises(Timeout, match="unknown bytes"):
        console.get("kmsg", seconds=0.5)


def test_get_of_something_unknown_is_said() -> None:
    def answer(line: bytes) -> bytes:
        return frame("err", b"%s %s what" % tuple(line.split()[1:3]))

    with board(answer) as console, pytest.raises(ValueError, match=r"nonsense.*what"):
        console.get("nonsense", seconds=5)


def test_a_damaged_marker_is_had_from_the_report_service() -> None:
    line = boot_line()
    with board(lambda question: part(question, line.strip() + b"\n")) as console:
        console.feed(b"text\r\n" + line.replace(b"cntfrq", b"cntfrx"), 12.5)
        assert console.wait_marker(5) is None
        marker = console.recover_marker(5)
        assert marker is not None
        assert (marker.data, marker.before, marker.at, marker.asked) == (BOOT, 6, 12.5, True)
        assert console.markers == 1
        assert console.recover_marker(1) is None


@pytest.mark.parametrize("part_size", [24, 512])
def test_what_is_missing_is_found(part_size: int) -> None:
    answer = Answer()
    answer.add(100, 3000, b"x" * 100)
    answer.add(150, 3000, b"x" * 100)
    assert answer.received == 150
    runs = answer.missing(part_size, 1000)
    assert answer.lacks(runs)
    for offset, length in runs:
        answer.add(offset, 3000, b"y" * length)
    assert answer.complete
    assert answer.stream[100:250] == b"x" * 150 or part_size == 512
    with pytest.raises(ValueError, match="outside"):
        answer.add(2990, 3000, b"z" * 11)


def test_every_byte_has_the_time_at_which_it_was_read() -> None:
    console = fed()
    for text, at in ((b"abc", 1.0), (b"de", 2.5), (b"\n" + boot_line(), 4.0)):
        console.feed(text, at)
    assert [console.when(offset) for offset in range(7)] == [1.0, 1.0, 1.0, 2.5, 2.5, 4.0, 4.0]
    marker = console.wait_marker(0)
    assert marker is not None
    assert (marker.at, marker.before) == (4.0, 6)
    with pytest.raises(IndexError):
        console.when(10_000)


def test_another_boot_begins_with_nothing_known() -> None:
    console = fed(b"[    2.0] Kernel panic - not syncing: x\r\n", boot_line(), frame("boot", b"{} "))
    assert console.another_boot() == console.size
    assert (console.panicked, console.markers, console.damaged) == (False, 0, [])
    console.feed(b"12\n" + boot_line())
    marker = console.wait_marker(0)
    assert marker is not None
    assert marker.before == 3


def test_lines_that_ran_together_give_all_their_frames() -> None:
    """Line ends were lost; the frames between them are undamaged, but for one."""
    console = fed(boot_line()[:-2] + b"@boot {" + boot_line(), boot_line().strip() + boot_line())
    assert console.markers == 4
    assert len(console.damaged) == 1


def test_an_interruption_ends_the_frame_that_it_cut() -> None:
    line = boot_line()
    pieces: list[bytes | Gap] = [line[:30], Gap("away for 1 s"), line[30:], line, b""]

    def read() -> bytes:
        piece = pieces.pop(0)
        if isinstance(piece, Gap):
            raise piece
        return piece

    console = Console(read, lambda _: None).start()
    assert console.join()
    assert console.markers == 1
    ((offset, _, why),) = console.gaps
    assert (offset, why) == (30, "away for 1 s")


def test_the_log_has_every_byte_as_it_came(tmp_path: Path) -> None:
    pieces = [b"one\r\n\0\xff", boot_line(), b""]
    console = Console(lambda: pieces.pop(0), lambda _: None, log=tmp_path / "log").start()
    assert console.join()
    assert (tmp_path / "log").read_bytes() == console.raw == b"one\r\n\0\xff" + boot_line()


def test_silence_is_noticed_and_so_is_noise() -> None:
    ours, theirs = socket.socketpair()
    stop = threading.Event()

    def talk() -> None:
        while not stop.wait(0.02):
            theirs.send(b"x")

    thread = threading.Thread(target=talk)
    thread.start()
    console = Console(lambda: ours.recv(4096), ours.sendall).start()
    assert not console.silence(0.3, 0.6)
    stop.set()
    thread.join()
    assert console.silence(0.3, 5)
    theirs.close()
    assert console.join()
    ours.close()


def test_a_pty_works_and_its_end_is_seen() -> None:
    ours, theirs = os.openpty()
    console = Console(lambda: os.read(ours, 4096), lambda data: os.write(ours, data)).start()
    os.write(theirs, boot_line())
    assert console.wait_marker(5) is not None
    os.close(theirs)
    assert console.wait(lambda: False, 5) is False
    assert console.closed
    os.close(ours)


def test_the_tail_shows_control_characters() -> None:
    assert fed(b"one\r\n\x1b[2Jtwo\r\n\r\nthree").tail(2) == ["?[2Jtwo", "three"]


@contextmanager
def plugged(device: Path) -> Iterator[int]:
    """An adapter that is plugged in: the far end of its line."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    device.symlink_to(os.ttyname(theirs))
    try:
        yield ours
    finally:
        device.unlink()
        os.close(theirs)
        os.close(ours)


def test_a_serial_line_works_and_comes_back_after_it_was_unplugged(tmp_path: Path) -> None:
    device = tmp_path / "ttyUSB"
    with plugged(device) as far:
        port = SerialPort(str(device))
        console = Console.on(port)
        console.send(b"x" * 100)
        assert console.wait(lambda: False, 0.2) is False
        assert os.read(far, 1000) == b"x" * 100
        os.write(far, boot_line())
        assert console.wait_marker(5) is not None
    time.sleep(0.4)
    with pytest.raises(InfraError, match=r"away[^\n]*\n.*cable"):
        console.send(b"y")
    with plugged(device) as far:
        assert console.wait(lambda: len(console._gaps) == 1, 5)
        os.write(far, boot_line())
        assert console.wait_marker(5, count=2) is not None
        port.close()
        assert console.join()
    assert "was away for" in console.gaps[0][2]


def test_a_serial_line_that_stays_away_ends_the_console(tmp_path: Path) -> None:
    with plugged(tmp_path / "ttyUSB"):
        console = Console.on(SerialPort(str(tmp_path / "ttyUSB"), reopen=0.3))
    assert console.join()
    assert console.closed
    with pytest.raises(Timeout, match="did not come back"):
        console.get("boot", seconds=1)


def test_a_serial_line_that_cannot_be_had_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match=r"No such file[^\n]*\n.*adapter"):
        SerialPort(str(tmp_path / "none"))
    with plugged(tmp_path / "ttyUSB"):
        first = SerialPort(str(tmp_path / "ttyUSB"))
        with pytest.raises(InfraError, match=r"another program has it open[^\n]*\n.*end the other program"):
            SerialPort(str(tmp_path / "ttyUSB"))
        first.close()
        assert first.read() == b""


def test_pexpect_sees_what_comes_over_a_console() -> None:
    ours, theirs = socket.socketpair()
    console = Console(lambda: ours.recv(4096), ours.sendall).start()
    theirs.sendall(b"before\n")
    assert console.wait_beyond(6, 5)
    terminal = Terminal(console, timeout=5)
    threading.Timer(0.1, lambda: theirs.sendall(b"login: ")).start()
    assert terminal.expect([b"before", b"login: $"]) == 1
    terminal.sendline(b"root")
    assert theirs.recv(10) == b"root\r"
    with pytest.raises(pexpect.TIMEOUT):
        terminal.expect(b"more", timeout=0.1)
    theirs.close()
    terminal.expect(pexpect.EOF)
    assert console.join()
    ours.close()
    assert Terminal(console, start=0).expect(b"before") == 0
