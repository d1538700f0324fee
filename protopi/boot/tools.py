# SPDX-License-Identifier: MIT
"""How the harness runs a program of the tools tree: through whatever gives it a command line to start."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from protopi.errors import InfraError
from protopi.sandbox import Bind, Sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Tools(Protocol):
    """Anything that turns a command into one that runs in the tools tree, with host paths bound below /host."""

    def argv(self, command: Sequence[str | Path], binds: Sequence[Bind] = (), *, network: bool = False) -> list[str]:
        """The whole command line; `network` keeps the host's network (for QEMU's host forwards)."""


@dataclass(frozen=True, slots=True)
class TreeTools:
    """The tools tree at `root`, run through protopi.sandbox."""

    root: Path

    def argv(self, command: Sequence[str | Path], binds: Sequence[Bind] = (), *, network: bool = False) -> list[str]:
        """See Tools.argv."""
        return Sandbox(self.root, binds=tuple(binds), cwd="/host", network=network).argv(command)


def run(tools: Tools, command: Sequence[str | Path], binds: Sequence[Bind] = ()) -> str:
    """Run a short program and return its standard output. Raises InfraError when it fails."""
    try:
        done = subprocess.run(
            tools.argv(command, binds), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise InfraError(f"{command[0]} cannot be run: {error.strerror}", hint="./build.py doctor") from error
    if done.returncode:
        raise InfraError(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-1000:]}")
    return done.stdout
