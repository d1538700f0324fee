# SPDX-License-Identifier: MIT
"""A bench to build mcp/ on: copies of our source, and the tools tree with a kernel's devel.tar.

What the tests of the module, its KUnit suites and its seeded bugs share.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from protopi.api import Planned, Session
from protopi.sandbox import Bind
from protopi.ui import Ui

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protopi.project import Project

KBUILD = ("ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-")
DEVEL = "/tmp/linux-devel"


@dataclass(frozen=True, slots=True)
class Bench:
    """A folder for copies of our source, seen at /host/bench by programs of the tools tree.

    `kernel` and `module` are the outputs of the two recipes.
    """

    folder: Path
    session: Session
    planned: Planned
    kernel: Path
    module: Path

    def run(self, *command: str, devel: bool = False) -> tuple[int, str]:
        """Run a program in the folder; its exit status, and all that it said.

        devel   with the unpacked devel.tar at /tmp/linux-devel: in memory, its many files are not worth a disk's time
        """
        binds = (
            Bind(self.folder, "/host/bench", writable=True),
            Bind(self.kernel, "/host/kernel"),
            Bind(self.module, "/host/module"),
        )
        # checkpatch knows a kernel's source by its folders; ipc has no file that a module needs.
        unpack = f"tar -C /tmp -xf /host/kernel/devel.tar && mkdir -p {DEVEL}/ipc && " if devel else ""
        script = f'{unpack}cd /host/bench && exec "$0" "$@"'
        done = subprocess.run(
            self.session.tools(self.planned, *binds).argv(["sh", "-c", script, *command]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return done.returncode, done.stdout.decode(errors="replace")

    def copy(self, name: str) -> Path:
        """A fresh copy of mcp/ as NAME."""
        target = self.folder / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.session.project.root / "mcp", target)
        return target

    def build(self, name: str, *words: str, folder: str = "kernel") -> tuple[int, str]:
        """Build the module of a folder of a copy, silent but for complaints."""
        make = ("make", "-s", "-C", DEVEL, f"M=/host/bench/{name}/{folder}", *KBUILD)
        return self.run(*make, *words, "modules", devel=True)


def outputs_of(session: Session, planned: Planned, *names: str) -> dict[str, Path]:
    """The outputs of recipes of an image that is built."""
    outputs = {}
    for step in planned.steps:
        if step.name in names:
            entry = session.store.get(step.name, step.key)
            assert entry is not None, step.name
            outputs[step.name] = entry.out
    return outputs


@contextlib.contextmanager
def open_bench(project: Project, image: Path) -> Iterator[Bench]:
    """A bench against the kernel of an image that is built; it is gone afterwards."""
    session = Session(project, Ui())
    planned = session.plan(str(image))
    outputs = outputs_of(session, planned, "kernel", "mcp_module")
    with tempfile.TemporaryDirectory(prefix="protopi-module-") as name:
        yield Bench(Path(name), session, planned, outputs["kernel"], outputs["mcp_module"])
