# SPDX-License-Identifier: MIT
"""Power switches: each kind switches, each failure is the bench's (InfraError), and "off" has to be proven."""

from __future__ import annotations

import http.server
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from protopi import labgrid, power
from protopi.boardfile import BoardFile, Labgrid, Power, SdMux
from protopi.boot.console import Console
from protopi.errors import InfraError, UserError
from protopi.power import Relay, Uhubctl, call, cycle, off_proven, switch_of


def board(**fields: Any) -> BoardFile:
    return BoardFile(power=Power(**fields), name="desk", path=Path("desk.yaml"))


def script(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_programs_are_run_without_a_shell(tmp_path: Path) -> None:
    note = tmp_path / "note; rm -rf $HOME"
    switch = switch_of(board(kind="command", on=("touch", str(note)), off=("rm", str(note))))
    switch.on()
    assert note.exists()
    switch.off()
    assert not note.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("false",), r"`false` failed with status 1: it printed nothing"),
        (("sh", "-c", "echo no such outlet >&2; exit 3"), r"status 3: no such outlet"),
        (("/no/such/program",), r"is not installed[^\n]*\n.*whole path"),
        (("sleep", "9"), r"did not end within 0\.2 s"),
    ],
)
def test_a_program_that_fails_is_the_bench_s_fault(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(InfraError, match=said):
        call(words, seconds=0.2)


#: What uhubctl 2.5 prints; {now} is the state afterwards.
UHUBCTL = """\
Current status for hub 1-1 [2109:3431 USB2.0 Hub, USB 2.10, 4 ports, ppps]
  Port 2: 0103 power enable connect [0403:6001 FTDI FT232R USB UART A50285BI]
Sent power off request
New status for hub 1-1 [2109:3431 USB2.0 Hub, USB 2.10, 4 ports, ppps]
  Port 2: {now}"""


@pytest.mark.parametrize(
    ("now", "wanted", "said"),
    [
        ("0000 off", "off", ""),
        ("0100 power", "on", ""),
        ("0103 power enable connect [0403:6001]", "on", ""),
        ("0100 power", "off", r"port 2 of hub 1-1 is on after `off`[^\n]*\n.*does not switch"),
        ("0000 off", "on", r"port 2 of hub 1-1 is off after `on`"),
        (None, "off", r"did not say what port 2 of hub 1-1 is now"),
    ],
)
def test_uhubctl_is_believed_only_when_its_report_agrees(
    tmp_path: Path, now: str | None, wanted: str, said: str
) -> None:
    text = UHUBCTL.format(now=now) if now else UHUBCTL.partition("New")[0]
    program = script(tmp_path / "uhubctl", f'echo "$@" > {tmp_path}/called\ncat << E\n{text}\nE')
    switch = Uhubctl("1-1", 2, program)
    if said:
        with pytest.raises(InfraError, match=said):
            getattr(switch, wanted)()
    else:
        getattr(switch, wanted)()
    assert (tmp_path / "called").read_text() == f"-l 1-1 -p 2 -a {wanted}\n"


@contextmanager
def relay(answer: Callable[[http.server.BaseHTTPRequestHandler], int]) -> Iterator[str]:
    """A network relay; `answer` gives the status of each request. Its address, without scheme."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(answer(self))
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_relay_is_fetched_past_any_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    seen: list[tuple[str, str, str | None]] = []

    def answer(request: http.server.BaseHTTPRequestHandler) -> int:
        seen.append((request.command, request.path, request.headers.get("Authorization")))
        return 200

    with relay(answer) as where:
        switch = switch_of(
            board(kind="relay", url_on=f"http://u:p%40ss@{where}/relay/0?turn=on", url_off=f"http://{where}")
        )
        switch.on()
        switch.off()
    assert seen == [("GET", "/relay/0?turn=on", "Basic dTpwQHNz"), ("GET", "/", None)]


def test_a_relay_that_wants_post_gets_post() -> None:
    seen: list[str] = []

    def answer(request: http.server.BaseHTTPRequestHandler) -> int:
        seen.append(request.command)
        return 405 if request.command == "GET" else 200

    with relay(answer) as where:
        Relay(f"http://{where}/on", "").on()
    assert seen == ["GET", "POST"]


@pytest.mark.parametrize("status", [302, 401, 404, 405, 500])
def test_a_relay_that_refuses_is_the_bench_s_fault(status: int) -> None:
    with relay(lambda _: status) as where, pytest.raises(InfraError, match=f"answered {status}") as refused:
        Relay("", f"http://u:secret@{where}/off").off()
    assert "secret" not in str(refused.value)


def test_a_relay_that_is_away_or_mute_is_the_bench_s_fault() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        url = f"http://u:secret@127.0.0.1:{mute.getsockname()[1]}/off"
        with pytest.raises(InfraError, match="cannot be reached") as refused:
            Relay("", url).off()
        assert "secret" not in str(refused.value)
        mute.listen()
        with pytest.raises(InfraError, match="cannot be reached: timed out"):
            Relay("", url, 0.3).off()


def test_without_power_control_a_person_is_asked_and_a_script_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as nobody, monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", nobody)
        with pytest.raises(UserError, match=r"desk\.yaml: power: nobody can switch[^\n]*\n.*uhubctl"):
            switch_of(board(kind="none"))
    ours, theirs = os.openpty()
    with os.fdopen(theirs) as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", terminal)
        switch = switch_of(board(kind="none"))
        os.write(ours, b"\n\n")
        switch.off()
        switch.on()
    os.close(ours)


@contextmanager
def line(answers: bool) -> Iterator[tuple[Console, socket.socket]]:
    """A console on a line; `answers`: something at the far end answers whatever it is asked."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        while data := theirs.recv(4096):
            if answers:
                theirs.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    console = Console(lambda: ours.recv(4096), ours.sendall).start()
    yield console, theirs
    ours.shutdown(socket.SHUT_WR)
    thread.join()
    theirs.close()
    assert console.join()
    ours.close()


class Counted:
    """A switch that counts, and does nothing."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def on(self) -> None:
        self.done.append("on")

    def off(self) -> None:
        self.done.append("off")


def test_a_silent_line_proves_that_the_power_is_off() -> None:
    switch = Counted()
    with line(answers=False) as (console, _):
        cycle(switch, console, 0.2)
    assert switch.done == ["off", "on"]


def test_a_board_that_still_answers_is_on_and_the_power_is_not_switched_on_again() -> None:
    switch = Counted()
    with line(answers=True) as (console, _), pytest.raises(InfraError, match=r"still speaks[^\n]*@get[^\n]*\n.*3\.3 V"):
        cycle(switch, console, 0.2)
    assert switch.done == ["off"]


def test_the_silence_of_a_line_that_is_away_proves_nothing() -> None:
    with line(answers=False) as (console, _):
        threading.Timer(0.2, lambda: console._interrupt("unplugged", 1.0)).start()
        with pytest.raises(InfraError, match="was interrupted"):
            off_proven(Counted(), console, drain=0.0, quiet=0.6)
    ours, theirs = socket.socketpair()
    console = Console(lambda: ours.recv(4096), lambda _: None).start()
    theirs.close()
    assert console.join()
    with pytest.raises(InfraError, match="line ended"):
        off_proven(Counted(), console, drain=0.0, quiet=0.1)
    ours.close()


def test_the_card_goes_to_and_fro(tmp_path: Path) -> None:
    note = tmp_path / "card"
    mux = SdMux(to_host=("cp", "/dev/null", str(note)), to_board=("rm", str(note)))
    power.card_to_host(mux)
    assert note.exists()
    power.card_to_board(mux)
    with pytest.raises(InfraError, match="failed with status 1"):
        power.card_to_board(mux)


class TIMEOUT(Exception):
    """As pexpect's, which labgrid raises when nothing came in time."""


class Target:
    """A labgrid target as protopi.labgrid sees one: its power and its console are itself."""

    def __init__(self) -> None:
        self.said: list[object] = []
        self.coming: list[bytes | Exception] = []

    def get_driver(self, protocol: str) -> Target:
        if protocol == "PowerProtocol" and "no power" in self.said:
            raise RuntimeError("no PowerProtocol driver found")
        return self

    def activate(self, driver: object) -> None:
        assert driver is self

    def on(self) -> None:
        self.said.append("on")

    def off(self) -> None:
        raise RuntimeError("PDU does not answer")

    def read(self, size: int, timeout: float) -> bytes:
        next_one = self.coming.pop(0)
        if isinstance(next_one, Exception):
            raise next_one
        return next_one

    def write(self, data: bytes) -> None:
        self.said.append(data)

    def cleanup(self) -> None:
        self.said.append("cleanup")


def test_a_labgrid_place_is_switch_and_line() -> None:
    target = Target()
    target.coming = [TIMEOUT(), b"abc", RuntimeError("connection lost")]
    with labgrid.Place(target, "rack1") as place:
        place.on()
        place.write(b"x")
        assert place.read() == b"abc"
        with pytest.raises(OSError, match="connection lost"):
            place.read()
        with pytest.raises(InfraError, match="rack1 cannot switch its power off: PDU"):
            place.off()
    assert target.said == ["on", b"x", "cleanup"]
    assert place.read() == b""
    target.said = ["no power"]
    with pytest.raises(InfraError, match="rack1 gives no PowerProtocol"):
        labgrid.Place(target, "rack1")


def test_a_labgrid_place_without_labgrid_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "labgrid", None)
    with pytest.raises(UserError, match=r"labgrid is not installed[^\n]*\n.*pip install labgrid"):
        labgrid.Place.of(BoardFile(labgrid=Labgrid("rack1"), name="desk", path=Path("desk.yaml")))
