# SPDX-License-Identifier: MIT
from __future__ import annotations

import base64
import json
import os
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from protopi.boot.console import Console, Timeout, check, crc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BOOT = {"v": 1, "cntfrq": 62500000, "cntvct": {"init": 5, "ready": 9}}
KERNEL_LINE = b"[    1.234567] usb 1-1: new device\r\n"


def frame(word: str, body: bytes) -> bytes:
    return b"@%s %s %s\r\n" % (word.encode(), body, crc(body))


def boot_line() -> bytes:
    return frame("boot", json.dumps(BOOT).encode())


def part(seq: bytes, nonce: bytes, index: int, count: int, data: bytes) -> bytes:
    return frame("part", b"%s %s %d %d %s" % (seq, nonce, index, count, base64.b64encode(data)))


def fed(*pieces: bytes) -> Console:
    console = Console(lambda: b"", lambda _: None)
    for piece in pieces:
        console.feed(piece)
    return console


@contextmanager
def board(answer: Callable[[bytes], bytes]) -> Iterator[Console]:
    """A console whose other end answers each line it is sent, in a thread."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs, theirs.makefile("rb") as lines:
            for line in lines:
                theirs.sendall(answer(line.strip()))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Console(lambda: ours.recv(4096), ours.sendall).start()
    finally:
        ours.shutdown(socket.SHUT_RDWR)
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


def test_get_puts_the_parts_together() -> None:
    def answer(line: bytes) -> bytes:
        _, seq, nonce, what = line.split()
        return line + b"\r\n" + b"".join(part(seq, nonce, i, 3, what + b"%d" % i) for i in (2, 0, 1))

    with board(answer) as console:
        assert console.get("kmsg", seconds=5) == b"kmsg0kmsg1kmsg2"


def test_get_takes_an_empty_answer() -> None:
    def answer(line: bytes) -> bytes:
        _, seq, nonce, _ = line.split()
        return part(seq, nonce, 0, 1, b"")

    with board(answer) as console:
        assert console.get("services", seconds=5) == b""


def test_get_asks_again_when_a_part_is_lost_or_damaged() -> None:
    asked: list[bytes] = []

    def answer(line: bytes) -> bytes:
        asked.append(line)
        _, seq, nonce, _ = line.split()
        good = [part(seq, nonce, index, 2, b"ab"[index : index + 1]) for index in range(2)]
        if len(asked) == 1:
            return good[0]
        if len(asked) == 2:
            return good[0] + good[1].replace(b"@part", b"@part ", 1)
        return good[0][:12] + KERNEL_LINE + good[0][12:] + good[1]

    with board(answer) as console:
        assert console.get("kmsg", seconds=0.3) == b"ab"
    assert len(asked) == 3
    assert len({line.split()[1] for line in asked}) == 3


def test_get_gives_up_and_takes_no_stale_answer() -> None:
    stale = part(b"1", b"00000000", 0, 1, b"stale")
    with board(lambda line: stale + line) as console, pytest.raises(Timeout, match="2 attempts"):
        console.get("kmsg", seconds=0.1, attempts=2)


def test_get_of_something_unknown_is_said() -> None:
    def answer(line: bytes) -> bytes:
        return frame("err", b"%s %s unknown" % tuple(line.split()[1:3]))

    with board(answer) as console, pytest.raises(ValueError, match="unknown"):
        console.get("nonsense", seconds=5)


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
