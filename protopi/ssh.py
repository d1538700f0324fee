# SPDX-License-Identifier: MIT
"""SSH to a board whose host key is known: the board file pins one fingerprint, and no other key is ever believed.

The key is compared before anything of the user's is offered: no public key, no password, no user name. There is no
"first connection": the fingerprint comes from where the key was made (`flash`), or from the board's console.
"""

from __future__ import annotations

import base64
import contextlib
import getpass
import hashlib
import hmac
import io
import logging
import os
import select
import shlex
import signal
import sys
import termios
import threading
import tty
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol

import paramiko

from protopi.errors import InfraError, ProtopiError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType

    from protopi.boardfile import BoardFile

#: Seconds: to connect, to shake hands, to authenticate; between signs of life.
_CONNECT, _ALIVE = 15.0, 15
_CHUNK = 65536
#: What a status means that SSH does not have: the command was ended by a signal on the board.
BY_SIGNAL = 255

# What it logs are tracebacks of errors that we report ourselves.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


def fingerprint(key: paramiko.PKey) -> str:
    """A public key's fingerprint, as OpenSSH and dropbearkey print it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")


class PinnedKey(paramiko.MissingHostKeyPolicy):
    """Refuses every host key but the pinned one.

    paramiko asks it before it authenticates, and for every server, because no known_hosts file is loaded.
    """

    def __init__(self, board: BoardFile, pin: str) -> None:
        self._board, self._pin = board, pin

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """See paramiko. Raises UserError."""
        shown = fingerprint(key)
        if not hmac.compare_digest(shown, self._pin):
            raise UserError(
                f"{hostname} shows another host key than this board's, and was told nothing\n"
                f"    pinned: {self._pin}\n    shown:  {shown} ({key.get_name()})",
                where=str(self._board.path),
                key="ssh.host_key",
                hint="somebody may be in between, or it is another board, or its card was made anew. Only if you know "
                f"that the key changed: ./build.py board pin {self._board.name} --fingerprint SHA256:...",
            )


def load_identity(path: Path) -> paramiko.PKey:
    """The user's private key in a file; asks for its passphrase on a terminal. Raises UserError."""
    try:
        return _load(path, None)
    except paramiko.PasswordRequiredException:
        if not sys.stdin.isatty():
            raise UserError(
                f"{path} wants a passphrase, and there is no terminal",
                key="--identity",
                hint=f"give it to your agent: ssh-add {path}",
            ) from None
    return _load(path, getpass.getpass(f"passphrase of {path}: "))


def _load(path: Path, passphrase: str | None) -> paramiko.PKey:
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key_file(str(path), passphrase)
        except paramiko.PasswordRequiredException:
            raise
        except (OSError, UnicodeDecodeError) as error:
            what = getattr(error, "strerror", None) or "it is not text"
            raise UserError(f"{path} cannot be read: {what}", key="--identity") from error
        except (paramiko.SSHException, ValueError):
            continue  # a key of another kind
    raise UserError(
        f"{path} is no private key that can be used" + (", or the passphrase is wrong" if passphrase else ""),
        key="--identity",
        hint="give the private key (not the .pub file): Ed25519, ECDSA or RSA, in OpenSSH's format",
    )


def connect(board: BoardFile, identity: Path | None = None) -> Session:
    """Log in to a board; with the key in `identity`, else with those of the agent and of ~/.ssh.

    Raises UserError (no address, no pin, another host key, no key of ours is let in), InfraError (no answer).
    """
    if board.ssh is None:
        raise UserError(
            "it does not say where SSH answers", where=str(board.path), key="ssh", hint="add `ssh:` with `host:`"
        )
    if not board.ssh.host_key:
        raise UserError(
            f"no host key is pinned for {board.ssh.host}, so that anybody could answer in its place",
            where=str(board.path),
            key="ssh.host_key",
            hint=f"`flash` pins it when it makes a card for the board; or read it off the board's own serial line: "
            f"./build.py board pin {board.name}",
        )
    own = load_identity(identity) if identity else None
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(PinnedKey(board, board.ssh.host_key))
    where = f"{board.ssh.host} port {board.ssh.port}"
    try:
        client.connect(
            board.ssh.host, board.ssh.port, board.ssh.user, pkey=own, allow_agent=own is None,
            look_for_keys=own is None, timeout=_CONNECT, banner_timeout=_CONNECT, auth_timeout=_CONNECT,
        )  # fmt: skip
    except BaseException as error:
        client.close()
        raise _explained(error, board, where) from error
    transport = client.get_transport()
    assert transport is not None
    transport.set_keepalive(_ALIVE)
    return Session(client, transport, where)


def _explained(error: BaseException, board: BoardFile, where: str) -> BaseException:
    """An error of paramiko's as one of ours."""
    if isinstance(error, ProtopiError):
        return error
    # Where paramiko has no key at all to try, it raises a plain SSHException.
    if isinstance(error, paramiko.AuthenticationException) or "No authentication methods" in str(error):
        assert board.ssh is not None
        return UserError(
            f"{where} lets none of your keys in as {board.ssh.user}",
            hint="name the right one with --identity, or load it: ssh-add. The card's keys are `provision.key_files` "
            "of the board file and `ssh.authorized_keys` of the image",
        )
    if isinstance(error, (OSError, EOFError, paramiko.SSHException)):
        what = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return InfraError(
            f"{where} cannot be reached: {what}",
            hint="is the board on, in this network, and does its name lead to it? Its console tells: "
            "./build.py board gate",
        )
    return error


class Session:
    """A connection to a board; a context manager."""

    def __init__(self, client: paramiko.SSHClient, transport: paramiko.Transport, where: str) -> None:
        self._client, self._transport, self.where = client, transport, where

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._client.close()

    def run(self, command: str, *, out: Writable, err: Writable, stdin: Readable | None = None) -> int:
        """Run a command line on the board; what it prints goes to `out` and `err` as it comes. Its exit status.

        Raises InfraError when the connection breaks.
        """
        channel = self._channel()
        with contextlib.closing(channel), self._broken():
            channel.exec_command(command)
            pumps = [
                _Copy(channel.recv, out.write, after=out.flush),
                _Copy(channel.recv_stderr, err.write, after=err.flush),
            ]
            feed = _Copy(stdin.read, channel.sendall, end=channel.shutdown_write) if stdin is not None else None
            if feed is None:
                channel.shutdown_write()
            for pump in pumps:
                pump.wait()
            status = self._status(channel)
            # A command may end without reading what it was given; what could not be read here is another matter.
            if feed is not None and feed.unread is not None:
                raise feed.unread
            return status

    def ask(self, command: str, *, stdin: Readable | None = None) -> tuple[int, str, str]:
        """Run a command line: its exit status, and what it printed."""
        out, err = io.BytesIO(), io.BytesIO()
        status = self.run(command, out=out, err=err, stdin=stdin)
        return status, out.getvalue().decode(errors="replace"), err.getvalue().decode(errors="replace")

    def put(self, source: Path, target: str, *, progress: Callable[[int], None] = lambda _: None) -> None:
        """Copy a file to the board; whole or not at all, compared there by its SHA-256 before it gets its name.

        Raises UserError when the board cannot take it, InfraError when what arrived is not what was sent.
        """
        digest = hashlib.sha256()
        with source.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o755 | 0o600
            while block := file.read(1 << 20):
                digest.update(block)
            file.seek(0)
            # Everything that is not ours is quoted once, into variables.
            given = {"n": target, "d": os.path.dirname(target), "t": f"{target}.{os.urandom(4).hex()}.new"}
            script = (
                "set -e; "
                + "".join(f"{name}={shlex.quote(value)}; " for name, value in given.items())
                + '[ ! -d "$n" ]; umask 022; mkdir -p "$d"; umask 077; trap \'rm -f "$t"\' EXIT; cat > "$t"; '
                + f'[ "$(sha256sum < "$t")" = "{digest.hexdigest()}  -" ] || exit 65; '
                + f'chmod {mode:o} "$t"; sync; mv "$t" "$n"'
            )
            counted = _Counting(file, progress)
            status, _, errors = self.ask(script, stdin=counted)
        if status == 65:
            raise InfraError(f"{source}: what arrived on the board is not what was sent", hint="push it again")
        if status:
            raise UserError(
                f"the board cannot take {target}: {errors.strip() or 'it is a folder'}",
                hint="the root file system is read-only; /data is kept over reboots, /run is not",
            )

    def shell(self) -> int:
        """A login shell in this terminal, until it ends; its exit status. Raises UserError without a terminal."""
        if not sys.stdin.isatty():
            raise UserError("there is no terminal", hint="for scripts: ./build.py board run NAME -- COMMAND")
        channel = self._channel()
        with contextlib.closing(channel), self._broken(), _raw(sys.stdin) as size:
            channel.set_combine_stderr(True)
            channel.get_pty(os.environ.get("TERM", "vt100"), *size())
            channel.invoke_shell()

            def resized(_number: int, _frame: FrameType | None) -> None:
                channel.resize_pty(*size())

            before = signal.signal(signal.SIGWINCH, resized)
            try:
                _converse(channel, sys.stdin.fileno(), sys.stdout.fileno())
            finally:
                signal.signal(signal.SIGWINCH, before)
            return self._status(channel)

    def _channel(self) -> paramiko.Channel:
        with self._broken():
            return self._transport.open_session(timeout=_CONNECT)

    def _status(self, channel: paramiko.Channel) -> int:
        status = channel.recv_exit_status()
        if status >= 0:
            return status
        if not self._transport.is_active():
            raise InfraError(f"the connection to {self.where} broke", hint="did the board reboot?")
        return BY_SIGNAL

    @contextlib.contextmanager
    def _broken(self) -> Iterator[None]:
        """paramiko's errors in the middle of a connection, as ours."""
        try:
            yield
        except (TimeoutError, EOFError, paramiko.SSHException) as error:
            raise InfraError(f"the connection to {self.where} broke: {error or type(error).__name__}") from error
        except OSError as error:
            if self._transport.is_active():
                raise
            raise InfraError(f"the connection to {self.where} broke: {error}") from error


class Readable(Protocol):
    """What can be sent on."""

    def read(self, size: int, /) -> bytes:
        """As a file's."""


class Writable(Protocol):
    """Where output can go."""

    def write(self, data: bytes, /) -> object:
        """As a file's."""

    def flush(self) -> object:
        """As a file's."""


class _Copy:
    """A thread that copies until the end of what it reads; `after` is called after each piece, `end` at the end."""

    def __init__(
        self,
        read: Callable[[int], bytes],
        write: Callable[[bytes], object],
        *,
        after: Callable[[], object] = lambda: None,
        end: Callable[[], object] = lambda: None,
    ) -> None:
        self._read, self._write, self._after, self._end = read, write, after, end
        self.unread: Exception | None = None
        self.unwritten: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                data = self._read(_CHUNK)
            except Exception as error:  # handed to the thread that waits
                self.unread, data = error, b""
            try:
                if not data:
                    self._end()
                    return
                self._write(data)
                self._after()
            except Exception as error:  # as above
                self.unwritten = error
                return

    def wait(self) -> None:
        """Until the end; raises what went wrong."""
        self._thread.join()
        for error in (self.unread, self.unwritten):
            if error is not None:
                raise error


class _Counting:
    """A file that tells how far it was read."""

    def __init__(self, file: BinaryIO, progress: Callable[[int], None]) -> None:
        self._file, self._progress, self._done = file, progress, 0

    def read(self, size: int) -> bytes:
        """As a file's."""
        block = self._file.read(size)
        self._done += len(block)
        self._progress(self._done)
        return block


def _converse(channel: paramiko.Channel, source: int, target: int) -> None:
    """Copy both ways until the shell ends."""
    reading: list[paramiko.Channel | int] = [channel, source]
    while True:
        ready, _, _ = select.select(reading, [], [])
        if channel in ready:
            data = channel.recv(_CHUNK)
            if not data:
                return
            view = memoryview(data)
            while view:
                view = view[os.write(target, view) :]
        if source in ready:
            typed = os.read(source, _CHUNK)
            if typed:
                channel.sendall(typed)
            else:
                channel.shutdown_write()
                reading = [channel]


@contextlib.contextmanager
def _raw(terminal: IO[str]) -> Iterator[Callable[[], tuple[int, int]]]:
    """The terminal passes every key on; gives a function for its size (columns, rows)."""
    number = terminal.fileno()
    before = termios.tcgetattr(number)
    tty.setraw(number)
    try:
        yield lambda: os.get_terminal_size(number)
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
