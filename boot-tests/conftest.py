# SPDX-License-Identifier: MIT
"""Fixtures of the boot tests: built images, and the key that may log in to the test images."""

from __future__ import annotations

import functools
import hashlib
import io
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import boards
from protopi import api
from protopi.boardfile import BoardFile, Ssh
from protopi.boot.qemu import Machine
from protopi.boot.tools import Tools, TreeTools
from protopi.ssh import PinnedKey

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image that is built: the SD image's file, its board, the tools to boot it with, the counting plug-in."""

    name: str
    path: Path
    board: boards.Board
    tools: Tools
    plugin: Path


@functools.cache
def _built(name: str) -> BuiltImage:
    own = HERE / "images" / f"{name}.yaml"
    made = api.build_image(str(own) if own.exists() else name)
    return BuiltImage(name, made.disk, boards.load(made.image.board), TreeTools(made.tools.root), made.plugin)


@pytest.fixture(scope="session")
def built() -> Callable[[str], BuiltImage]:
    """`built("pi4")`: an image of the project's, or one of boot-tests/images, built once."""
    return _built


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """`free_port()`: a TCP port of this host that nobody uses."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@pytest.fixture(scope="session")
def connect(ssh_key: paramiko.PKey) -> Callable[..., paramiko.SSHClient]:
    """`connect(machine, port, seconds)`: an SSH session through a forwarded port, to a server that may still start.

    The host key is the one that the machine names on its console: no other is believed, in tests either.
    """

    def attempt(machine: Machine, port: int, seconds: float = 60) -> paramiko.SSHClient:
        end = time.monotonic() + seconds
        while not (pin := machine.console.get("hostkey", seconds=60).decode().strip()):
            assert time.monotonic() < end, "no SSH host key was made"
            time.sleep(0.5)
        board = BoardFile(ssh=Ssh("127.0.0.1", port, host_key=pin), name="qemu")
        while True:
            client = paramiko.SSHClient()
            client.set_missing_host_key_policy(PinnedKey(board, pin))
            try:
                client.connect(
                    "127.0.0.1", port, "root", pkey=ssh_key, allow_agent=False, look_for_keys=False, timeout=10,
                    banner_timeout=10, auth_timeout=10,
                )  # fmt: skip
                return client
            except (OSError, EOFError, paramiko.SSHException):
                client.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)

    return attempt


@pytest.fixture(scope="session")
def ssh_key_text() -> str:
    """The key that virt-test lets in. It is made from a known text, so it is no secret and opens test images only."""
    secret = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"protopi boot tests").digest())
    text = secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return text.decode()


@pytest.fixture(scope="session")
def ssh_key(ssh_key_text: str) -> paramiko.PKey:
    """The same, for paramiko."""
    return paramiko.Ed25519Key.from_private_key(io.StringIO(ssh_key_text))
