# SPDX-License-Identifier: MIT
"""The commands for boards, against the virt image in QEMU: SSH through a forwarded port, its console on a serial line.

The line is two pseudo-terminals and a cable between them, which can be made a bad one.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pexpect
import pytest

from protopi import boardfile, boardline, ssh
from protopi.boot.console import Console
from protopi.boot.qemu import ON_STDIO, Options, command
from tests.noisy_line import Noise, NoisyLine

if TYPE_CHECKING:
    from conftest import BuiltImage

pytestmark = pytest.mark.image
PROJECT = Path(__file__).resolve().parent.parent
MAIN = "import sys; from protopi.cli import main; sys.exit(main(sys.argv[1:]))"
BOOT = 120.0


@dataclass
class Desk:
    """A board on a desk, as far as its owner can tell."""

    line: NoisyLine
    path: Path
    identity: Path
    pin: str

    def words(self, action: str, *arguments: str) -> list[str]:
        """The command line of `board ACTION`."""
        login = [] if action == "pin" else ["--identity", str(self.identity)]
        return [sys.executable, "-c", MAIN, "board", action, *login, *arguments]

    def do(
        self, action: str, *arguments: str, options: tuple[str, ...] = (), **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """`./build.py board ACTION OPTIONS desk.yaml ARGUMENTS`."""
        words = self.words(action, *options, str(self.path), *arguments)
        return subprocess.run(
            words, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120, **({"input": ""} | more)
        )

    def ask(self, line: str) -> str:
        """What a command line on the board prints."""
        done = self.do("run", "--", line)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def pinned(self, pin: str | None) -> Iterator[None]:
        """Another pin in the board file (None: none), for a while."""
        before = self.path.read_text()
        self.path.write_text(re.sub(r"\n  host_key: .*", f"\n  host_key: {pin}" if pin else "", before))
        try:
            yield
        finally:
            self.path.write_text(before)


@pytest.fixture(scope="module")
def desk(
    built: Callable[[str], BuiltImage],
    free_port: Callable[[], int],
    ssh_key_text: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Desk]:
    """The virt-test image, running behind a serial line and a port, and the board file that its owner would write."""
    image, port = built("virt-test"), free_port()
    folder = tmp_path_factory.mktemp("desk")
    # A board file's serial line is below /dev.
    cable = Path(tempfile.mkdtemp(prefix="protopi-", dir="/dev/shm"))
    identity = folder / "id_ed25519"
    identity.write_text(ssh_key_text)
    identity.chmod(0o600)
    path = folder / "desk.yaml"
    path.write_text(f"# my desk\nserial:\n  device: {cable}/ttyUSB\nssh:\n  host: 127.0.0.1   # here\n  port: {port}\n")
    options = Options(realtime=True, forward=((port, 22),))
    with NoisyLine(cable, Noise()) as line:
        words = command(image.path, image.board, image.tools, folder, options, serial=ON_STDIO)
        board = boardfile.load(str(path))
        with boardline.console_of(board, log=folder / "console.log") as console:
            machine = subprocess.Popen(words, stdin=line.board, stdout=line.board, stderr=subprocess.DEVNULL)
            try:
                assert console.wait_marker(BOOT) is not None, console.tail()
                pin = wait_for_key(console)
            except BaseException:
                machine.kill()
                machine.wait()
                raise
        made = Desk(line, path, identity, pin)
        try:
            refused = made.do("run", "--", "true")
            assert refused.returncode == 2
            assert re.search(r"desk\.yaml: ssh\.host_key: no host key is pinned.*\n.*board pin desk", refused.stderr)
            pinning = made.do("pin")
            assert pinning.returncode == 0, pinning.stderr
            yield made
        finally:
            machine.kill()
            machine.wait()
            shutil.rmtree(cable)


def wait_for_key(console: Console) -> str:
    """The fingerprint, once the board has made its key."""
    end = time.monotonic() + 60
    while not (pin := console.get("hostkey", seconds=60).decode().strip()):
        assert time.monotonic() < end, "no SSH host key was made"
        time.sleep(0.5)
    return pin


def test_the_pin_is_the_board_s_key_and_the_file_is_otherwise_as_it_was(desk: Desk) -> None:
    board = boardfile.load(str(desk.path))
    assert board.ssh is not None
    assert board.ssh.host_key == desk.pin
    assert "# my desk" in desk.path.read_text()
    assert "# here" in desk.path.read_text()
    assert desk.pin in desk.ask("dropbearkey -y -f /data/ssh/dropbear_ed25519_host_key")
    assert "was pinned already" in desk.do("pin").stderr


def test_the_pin_can_be_had_over_a_bad_line(desk: Desk) -> None:
    """2 % of the bytes are damaged, and kernel messages come in between."""
    desk.line.noise = Noise(drop=0.01, flip=0.01, kernel=0.002)
    try:
        with desk.pinned(None):
            done = desk.do("pin")
            assert done.returncode == 0, done.stderr
            assert desk.pin in desk.path.read_text()
    finally:
        desk.line.noise = Noise()


def test_run_passes_output_and_status_on(desk: Desk) -> None:
    done = desk.do("run", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    # Several words are a program and its arguments; one is a line for the shell.
    assert desk.do("run", "--", "echo", "a  b", "$HOME", "|", "cat").stdout == "a  b $HOME | cat\n"
    assert desk.ask("echo a | tr a b") == "b\n"
    text = os.urandom(300_000).hex()
    assert desk.do("run", "--", "sha256sum", options=("--stdin",), input=text).stdout.split()[0] == sha256(
        text.encode()
    )


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_wrong_host_key_is_refused_and_nothing_runs(desk: Desk) -> None:
    wrong = ("A" if desk.pin[7] != "A" else "B") + desk.pin[8:]
    with desk.pinned(f"SHA256:{wrong}"):
        for action, arguments in (("run", ("--", "touch /run/was-here")), ("push", (__file__,)), ("log", ())):
            done = desk.do(action, *arguments)
            assert done.returncode == 2, action
            assert "another host key than this board's" in done.stderr
            assert desk.pin in done.stderr
    assert desk.ask("ls /run/was-here /data/push/test_board_ssh.py 2>/dev/null; true") == ""


def test_push_verifies_what_arrived(desk: Desk, tmp_path: Path) -> None:
    one = tmp_path / "it's one"
    one.write_bytes(os.urandom(2_000_000))
    one.chmod(0o755)
    start = time.monotonic()
    done = desk.do("push", str(one), __file__)
    assert done.returncode == 0, done.stderr
    print(f"\npush (stand-in: QEMU): 2 MB and a small file in {time.monotonic() - start:.1f} s")
    assert sha256(one.read_bytes()) in desk.ask("cd /data/push && sha256sum * && ls -l")
    assert re.search(r"-rwxr-xr-x .* it's one", desk.ask("ls -l /data/push"))
    refused = desk.do("push", "--to", "/usr/share", str(one))
    assert refused.returncode == 2
    assert re.search(r"cannot take /usr/share/it's one: .*Read-only file system.*\n.*read-only; /data", refused.stderr)
    none = desk.do("push", "--to", "relative", str(tmp_path / "none"), str(one), str(one))
    assert none.returncode == 2
    assert re.search("no whole path", none.stderr)
    assert re.search("no such file", none.stderr)
    assert re.search("two files are named", none.stderr)


@pytest.fixture
def module(desk: Desk, tmp_path: Path) -> Path:
    """The image's own mcp.ko."""
    path = tmp_path / "mcp.ko"
    with ssh.connect(boardfile.load(str(desk.path)), desk.identity) as session, path.open("wb") as out:
        assert session.run("cat /usr/lib/protopi/mcp.ko", out=out, err=sys.stderr.buffer) == 0
    return path


LOADED = "grep -c '^mcp .* Live' /proc/modules"


def test_a_new_mcp_ko_takes_the_place_of_the_running_one(desk: Desk, module: Path) -> None:
    start = time.monotonic()
    done = desk.do("push", str(module))
    assert done.returncode == 0, done.stderr
    print(f"\nmcp.ko (stand-in: QEMU): copied, verified and loaded in {time.monotonic() - start:.1f} s")
    assert "mcp: loaded in place of the one that ran" in done.stderr
    assert desk.ask(LOADED) == "1\n"
    assert desk.ask("ls /run/push/mcp.ko; test -c /dev/mcp && echo yes") == "/run/push/mcp.ko\nyes\n"


def test_a_module_that_is_in_use_stays_and_its_user_is_named(desk: Desk, module: Path) -> None:
    desk.ask("(exec 5<>/dev/mcp; exec sleep 1000) > /dev/null 2>&1 < /dev/null & echo $! > /run/user.pid; sleep 0.3")
    try:
        done = desk.do("push", str(module))
        assert done.returncode == 2
        assert re.search(r"mcp cannot be taken out: .*\n.*in use by sleep \(pid \d+\)", done.stderr), done.stderr
        assert desk.ask(LOADED) == "1\n"
    finally:
        desk.ask("kill $(cat /run/user.pid); sleep 0.3")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((rb"vermagic=6\.", b"vermagic=5."), r"mcp was built for Linux 5\.\S+, and the board runs 6\."),
        (
            (b"mod_unload", b"mod_unl0ad"),
            r"kernel refuses mcp: .*; the image's own is loaded again\n(.*\n)*.*version magic",
        ),
        ((rb"^\x7fELF", b"\x7fFLE"), r"is no kernel module"),
    ],
)
def test_a_module_that_cannot_be_loaded_leaves_the_image_s_own(
    desk: Desk, module: Path, change: tuple[bytes, bytes], said: str
) -> None:
    data = module.read_bytes()
    module.write_bytes(re.sub(*change, data))
    assert module.read_bytes() != data
    done = desk.do("push", str(module))
    assert done.returncode == 2
    assert re.search(said, done.stderr), done.stderr
    assert desk.ask(LOADED) == "1\n"


def test_log_shows_the_kernel_and_the_services_in_order(desk: Desk) -> None:
    everything = desk.do("log", "-n", "2000")
    assert everything.returncode == 0, everything.stderr
    lines = everything.stdout.splitlines()
    assert {"kernel-log", "ssh"} <= {line.split(" ")[2].rstrip(":") for line in lines if line[0].isdigit()}
    stamps = [line[:26] for line in lines if line[0].isdigit()]
    assert stamps == sorted(stamps)
    assert "Linux version" in everything.stdout
    few = desk.do("log", "kernel-log", "-n", "3").stdout.splitlines()
    assert len(few) == 3
    assert all(" kernel-log: " in line for line in few)
    unknown = desk.do("log", "kernel")
    assert unknown.returncode == 2
    assert re.search(r"no log of kernel\n.*did you mean `kernel-log`", unknown.stderr), unknown.stderr


#: How many times a log is open on the board; each has its logger.
READERS = "ls -l /proc/[0-9]*/fd 2> /dev/null | grep -c '/log/.*/current$'"


def test_log_follows_and_leaves_nothing_behind(desk: Desk) -> None:
    before = int(desk.ask(READERS))
    words = desk.words("log", str(desk.path), "-f", "-n", "5")
    child = pexpect.spawn(words[0], words[1:], cwd=str(PROJECT), timeout=30, encoding="utf-8")
    try:
        child.expect("kernel-log: ")
        desk.ask("echo '<5>seen by the follower' > /dev/kmsg")
        child.expect("kernel-log: .*seen by the follower")
        assert int(desk.ask(READERS)) > before
        child.sendintr()
        child.expect(pexpect.EOF)
        child.wait()
        assert child.exitstatus == 130
    finally:
        child.close(force=True)
    end = time.monotonic() + 10
    while int(desk.ask(READERS)) > before:
        assert time.monotonic() < end, "a reader of the logs stays on the board"
        time.sleep(0.5)


def test_shell_is_a_terminal_on_the_board(desk: Desk) -> None:
    assert "there is no terminal" in desk.do("shell").stderr
    words = desk.words("shell", str(desk.path))
    child = pexpect.spawn(words[0], words[1:], cwd=str(PROJECT), timeout=30, dimensions=(31, 97))
    try:
        child.expect(rb"[#$] (?:\x1b\[6n)?$")
        child.send(b"echo size $(stty size) $((6*7)); test -t 0; exit 3\r")
        child.expect(rb"size 31 97 42\r")
        child.expect(pexpect.EOF)
        child.wait()
        assert child.exitstatus == 3
    finally:
        child.close(force=True)
