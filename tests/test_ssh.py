# SPDX-License-Identifier: MIT
"""SSH to boards: the pinned host key or nothing. The far end is paramiko's own server, in a thread."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
import pytest

from protopi import cli, ssh
from protopi.boardfile import BoardFile, Ssh
from protopi.commands import board as commands_board
from protopi.commands.board_log import Merge, script
from protopi.errors import InfraError, UserError
from protopi.project import Project
from protopi.ssh import fingerprint, load_identity
from protopi.ui import Ui

PROJECT = Path(__file__).parent.parent


@dataclass
class Far(paramiko.ServerInterface):
    """An SSH server; it notes every name and key that it is offered, and runs commands in this machine's shell."""

    host_key: paramiko.PKey
    lets_in: paramiko.PKey | None
    offered: list[str] = field(default_factory=list)
    drop: bool = False
    by_signal: bool = False

    def get_allowed_auths(self, username: str) -> str:
        self.offered.append(username)
        return "publickey,password"

    def check_auth_none(self, username: str) -> int:
        self.offered.append(username)
        return int(paramiko.common.AUTH_FAILED)

    def check_auth_password(self, username: str, password: str) -> int:
        self.offered.append(password)
        return int(paramiko.common.AUTH_FAILED)

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.offered.append(fingerprint(key))
        good = self.lets_in is not None and key == self.lets_in
        return int(paramiko.common.AUTH_SUCCESSFUL if good else paramiko.common.AUTH_FAILED)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.common.OPEN_SUCCEEDED)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._serve, args=(channel, command), daemon=True).start()
        return True

    def _serve(self, channel: paramiko.Channel, command: bytes) -> None:
        # The client sends input, or its end, once it has been told that the command runs: a command that is over
        # before that would close the channel first, which no SSH server does.
        first = channel.recv(65536)
        if self.drop:
            channel.sendall(b"half an ans")
            channel.get_transport().close()
            return
        child = subprocess.Popen(
            ["sh", "-c", command.decode()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert child.stdin
        assert child.stdout
        assert child.stderr

        def feed() -> None:
            assert child.stdin
            with contextlib.suppress(BrokenPipeError), child.stdin:
                data = first
                while data:
                    child.stdin.write(data)
                    data = channel.recv(65536)

        def errors() -> None:
            assert child.stderr
            while data := os.read(child.stderr.fileno(), 65536):
                channel.sendall_stderr(data)

        feeder, other = threading.Thread(target=feed, daemon=True), threading.Thread(target=errors)
        feeder.start()
        other.start()
        while data := os.read(child.stdout.fileno(), 65536):
            channel.sendall(data)
        other.join()
        child.stdout.close()
        child.stderr.close()
        status = child.wait()
        if not self.by_signal:
            channel.send_exit_status(status)
        channel.close()


@contextmanager
def server(far: Far) -> Iterator[int]:
    """The server on a port of its own, for one connection after the other."""
    transports: list[paramiko.Transport] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    peer, _ = listening.accept()
                except OSError:
                    return
                transport = paramiko.Transport(peer)
                transport.add_server_key(far.host_key)
                transports.append(transport)
                try:
                    transport.start_server(server=far)
                except (paramiko.SSHException, EOFError, OSError):  # the client went when it saw our key
                    transport.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        for transport in transports:
            transport.close()


def key() -> paramiko.PKey:
    return paramiko.ECDSAKey.generate()


def board(port: int, pin: str | None) -> BoardFile:
    return BoardFile(ssh=Ssh("127.0.0.1", port, host_key=pin), name="desk", path=Path("desk.yaml"))


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's private key in a file."""
    path = tmp_path_factory.mktemp("key") / "id"
    key().write_private_key_file(str(path))
    return path


@pytest.fixture
def far(identity: Path) -> Far:
    """A board that lets the user in."""
    return Far(key(), load_identity(identity))


@pytest.fixture(autouse=True)
def no_agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key of whoever runs the tests."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_the_fingerprint_is_that_of_openssh() -> None:
    """The key and the fingerprint that `ssh-keygen -l` gives for it (RFC 4716 does not define SHA-256 ones)."""
    public = "AAAAC3NzaC1lZDI1NTE5AAAAIM2TGMxONqEoJGRTB7Ss7Ags59/1wSZLq176HQrS0isK"
    entry = paramiko.PKey.from_type_string("ssh-ed25519", base64.b64decode(public))
    assert fingerprint(entry) == entry.fingerprint
    assert re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", fingerprint(entry))


def test_the_pinned_key_is_believed_and_the_status_is_passed_on(far: Far, identity: Path) -> None:
    with server(far) as port, ssh.connect(board(port, fingerprint(far.host_key)), identity) as session:
        assert session.ask("echo out; echo err >&2; exit 7") == (7, "out\n", "err\n")
        assert session.ask("cat", stdin=io.BytesIO(b"x" * 300_000)) == (0, "x" * 300_000, "")
        # A command may end without reading what it is given.
        assert session.ask("echo done", stdin=io.BytesIO(b"x" * 3_000_000)) == (0, "done\n", "")


def test_a_server_in_between_is_told_nothing(far: Far, identity: Path) -> None:
    """Another host key, of the same kind: refused before a name or a key is offered. 20 of 20."""
    for _ in range(20):
        in_between = Far(key(), far.lets_in)
        with server(in_between) as port:
            with pytest.raises(
                UserError, match=r"ssh\.host_key: .*another host key.*\n.*\n.*\n.*in between"
            ) as refused:
                ssh.connect(board(port, fingerprint(far.host_key)), identity)
            assert fingerprint(in_between.host_key) in str(refused.value)
        assert in_between.offered == []


def test_the_test_of_the_server_in_between_would_see_what_is_offered(far: Far, identity: Path) -> None:
    """The negative control: to a host key that is believed, name and key are offered, and noted."""
    stranger = Far(far.host_key, None)
    with server(stranger) as port, pytest.raises(UserError, match=r"none of your keys in as root[^\n]*\n.*--identity"):
        ssh.connect(board(port, fingerprint(far.host_key)), identity)
    assert fingerprint(load_identity(identity)) in stranger.offered


def test_a_known_hosts_file_cannot_lend_belief(far: Far, identity: Path, tmp_path: Path) -> None:
    with server(far) as port:
        known = tmp_path / ".ssh/known_hosts"
        known.parent.mkdir()
        known.write_text(f"[127.0.0.1]:{port} {far.host_key.get_name()} {far.host_key.get_base64()}\n")
        with pytest.raises(UserError, match="another host key"):
            ssh.connect(board(port, fingerprint(key())), identity)
    assert far.offered == []


def test_without_a_pin_nothing_is_tried_and_the_way_to_one_is_told(identity: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        with pytest.raises(UserError, match=r"no host key is pinned[^\n]*\n.*board pin desk"):
            ssh.connect(board(listening.getsockname()[1], None), identity)
        with pytest.raises(TimeoutError):
            listening.accept()
    with pytest.raises(UserError, match=r"desk\.yaml: ssh: .*where SSH answers"):
        ssh.connect(BoardFile(name="desk", path=Path("desk.yaml")))


def test_no_code_of_ours_believes_a_host_key_that_nobody_knows() -> None:
    """paramiko's policies that accept unknown keys, and known_hosts files, are named nowhere."""
    forbidden = re.compile(
        "Auto" r"AddPolicy|Warning" r"Policy|load_(system_)?host" r"_keys|StrictHostKey" r"Checking[ =]no"
    )
    sources = [path for path in PROJECT.rglob("*.py") if not {".venv", "out"} & set(path.relative_to(PROJECT).parts)]
    assert len(sources) > 100
    found = [str(path) for path in sources if forbidden.search(path.read_text())]
    assert found == []
    # Whoever makes a client says what it believes: the number of clients is the number of pins.
    made = {str(p.relative_to(PROJECT)): p.read_text() for p in sources if "SSHClient()" in p.read_text()}
    for name, text in made.items():
        if name != "tests/test_ssh.py":
            assert text.count("paramiko.SSHClient()") == text.count("set_missing_host_key_policy(PinnedKey("), name


def test_a_board_that_is_away_or_speaks_no_ssh_is_no_verdict(far: Far, identity: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(InfraError, match=r"cannot be reached[^\n]*\n.*is the board on"):
            ssh.connect(board(free.getsockname()[1], fingerprint(far.host_key)), identity)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def speak() -> None:
            peer, _ = listening.accept()
            with peer:
                peer.sendall(b"220 mail.example ESMTP\r\n" * 200)

        thread = threading.Thread(target=speak)
        thread.start()
        with pytest.raises(InfraError, match="cannot be reached"):
            ssh.connect(board(listening.getsockname()[1], fingerprint(far.host_key)), identity)
        thread.join()


def test_a_connection_that_breaks_is_no_exit_status(far: Far, identity: Path) -> None:
    with server(far) as port, ssh.connect(board(port, fingerprint(far.host_key)), identity) as session:
        far.by_signal = True
        assert session.ask("true")[0] == ssh.BY_SIGNAL
        far.drop = True
        with pytest.raises(InfraError, match="broke"):
            session.ask("true")
        with pytest.raises(InfraError, match="broke"):
            session.ask("true")


def test_a_file_arrives_whole_or_not_at_all(
    far: Far, identity: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, goal = tmp_path / "source", tmp_path / "new folder/it's here"
    source.write_bytes(os.urandom(700_000))
    source.chmod(0o755)
    with server(far) as port, ssh.connect(board(port, fingerprint(far.host_key)), identity) as session:
        seen: list[int] = []
        session.put(source, str(goal), progress=seen.append)
        assert goal.read_bytes() == source.read_bytes()
        assert goal.stat().st_mode & 0o777 == 0o755
        assert seen[-1] == 700_000
        # Damaged on the way: what was there stays.
        monkeypatch.setattr(ssh._Counting, "read", lambda self, size, real=ssh._Counting.read: real(self, size)[:-1])
        before = goal.read_bytes()
        source.write_bytes(b"new")
        with pytest.raises(InfraError, match="not what was sent"):
            session.put(source, str(goal))
        monkeypatch.undo()
        assert goal.read_bytes() == before
        with pytest.raises(UserError, match=r"cannot take /proc/x/y: [^\n]+\n.*read-only"):
            session.put(source, "/proc/x/y")
        (tmp_path / "folder").mkdir()
        with pytest.raises(UserError, match="cannot take"):
            session.put(source, str(tmp_path / "folder"))
    assert sorted(path.name for path in goal.parent.iterdir()) == [goal.name]
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "cannot be read: No such file"),
        (lambda path: path.write_text("ssh-ed25519 AAAA me\n"), r"no private key that can be used[^\n]*\n.*\.pub"),
        (lambda path: path.write_bytes(b"\xff" * 100), "cannot be read: it is not text"),
        (
            lambda path: key().write_private_key_file(str(path), password="secret"),
            r"wants a passphrase[^\n]*\n.*ssh-add",
        ),
    ],
)
def test_an_identity_that_cannot_be_used_is_refused_with_what_to_do(
    tmp_path: Path, make: Callable[[Path], object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "id")
    with Path(os.devnull).open() as nobody, monkeypatch.context() as patch:
        patch.setattr("sys.stdin", nobody)
        with pytest.raises(UserError, match=said):
            load_identity(tmp_path / "id")


def test_logs_are_merged_by_time() -> None:
    shown: list[str] = []
    merge = Merge(shown.append)
    text = (
        b"==> /data/log/ssh/current <==\n"
        b"2026-01-01 00:00:01.000000100  one\n2026-01-01 00:00:03.000000100  three \x1b[2J\xff\n"
        b"\n==> /data/log/kernel-log/current <==\n2026-01-01 00:00:02.500000000  <6>[    1.0] two\nno time\n"
    )
    for at in range(len(text)):
        merge.write(text[at : at + 1])
    merge.show(4)
    assert shown == [
        "2026-01-01 00:00:01.000000 ssh: one",
        "2026-01-01 00:00:02.500000 kernel-log: <6>[    1.0] two",
        "                           kernel-log: no time",
        "2026-01-01 00:00:03.000000 ssh: three ?[2J�",
    ]


def test_following_ends_with_us(tmp_path: Path) -> None:
    """No `tail` stays on the board: the script ends when its standard input does."""
    (tmp_path / "current").write_text("2026-01-01 00:00:01.000000000  one\n")
    child = subprocess.Popen(
        ["sh", "-c", script([str(tmp_path)], 10, follow=True)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin
    assert child.stdout
    assert child.stdout.readline().startswith(b"==> ")
    assert child.stdout.readline().endswith(b"one\n")
    with (tmp_path / "current").open("a") as log:
        log.write("2026-01-01 00:00:02.000000000  two\n")
    assert child.stdout.readline().endswith(b"two\n")
    child.stdin.close()
    assert child.wait(5) is not None
    assert child.stdout.read() == b""
    child.stdout.close()


def test_the_actions_of_a_board_are_no_verbs_of_their_own() -> None:
    assert "board" in cli.verbs()
    assert not [verb for verb in cli.verbs() if verb.startswith("board_")]
    assert {"gate", "log", "new", "pin", "push", "run", "shell", "show"} <= set(commands_board.actions())
    top = cli.parser(["board"])
    parsed = top.parse_args(["board", "run", "desk", "--", "ls", "-l", "--", "x"])
    assert (parsed.action, parsed.name) == ("run", "desk")
    assert parsed.command[-4:] == ["ls", "-l", "--", "x"]


@pytest.mark.parametrize(
    ("words", "said"),
    [(["desk"], "there is no command"), (["desk", "--stdin", "--", "cat"], "`--stdin` is no command")],
)
def test_a_run_without_a_command_is_refused(words: list[str], said: str) -> None:
    parsed = cli.parser(["board"]).parse_args(["board", "run", *words])
    with pytest.raises(UserError, match=rf"{said}[^\n]*\n.*options come before the board's name"):
        commands_board.run(parsed, Project.here(), Ui())
