# SPDX-License-Identifier: MIT
"""Runs programs under bubblewrap in the tools tree: no network, no host files, a clean environment, fixed paths."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from protopi.errors import InfraError

#: Mount points that the tools tree has for the sandbox.
MOUNT_POINTS = ("in", "out", "build", "project", "cache", "host")


@dataclass(frozen=True, slots=True)
class Bind:
    """A host path that is seen at `target` in the sandbox."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The tools tree at `root` as a place to run programs in.

    network   True keeps the host's network (the resolver, QEMU's host forwarding); builds never have it
    """

    root: Path
    binds: tuple[Bind, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/build"
    network: bool = False

    def argv(self, command: Sequence[str | Path]) -> list[str]:
        """The whole command line, bwrap first, that runs `command`."""
        words = ["bwrap", "--die-with-parent", "--unshare-all", "--clearenv", "--hostname", "protopi"]
        if self.network:
            words.append("--share-net")
        words += ["--uid", "0", "--gid", "0", "--ro-bind", os.fspath(self.root), "/"]
        words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/in", "--tmpfs", "/host"]
        for bind in self.binds:
            words += ["--bind" if bind.writable else "--ro-bind", os.fspath(bind.source), bind.target]
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/tmp",
            "TZ": "UTC",
            "LC_ALL": "C.UTF-8",
            **self.environment,
        }
        for name, value in environment.items():
            words += ["--setenv", name, value]
        return [*words, "--chdir", self.cwd, "--", *(os.fspath(word) for word in command)]

    def script(self, command: Sequence[str | Path], prepare: str = "") -> str:
        """A shell script that runs `command` again, for a person."""
        return f"#!/bin/sh\nset -eu\n{prepare}exec {shlex.join(self.argv(command))}\n"

    def run(self, command: Sequence[str | Path], *, stdin: bytes | None = None) -> str:
        """Run a short program and return its standard output. Raises InfraError when it fails."""
        try:
            done = subprocess.run(
                self.argv(command),
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise InfraError("bwrap is not installed", hint="./build.py doctor says what is missing") from error
        if done.returncode:
            text = done.stderr.decode(errors="replace").strip()
            raise InfraError(
                f"`{shlex.join(os.fspath(word) for word in command)}` failed in the sandbox: {text[-2000:]}"
            )
        return done.stdout.decode(errors="replace")


def check_sandbox() -> str:
    """What keeps bubblewrap from working on this host, or an empty text."""
    try:
        done = subprocess.run(
            ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return "bubblewrap is not installed"
    return "" if done.returncode == 0 else (done.stderr.strip() or f"bwrap ended with {done.returncode}")
