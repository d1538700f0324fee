# SPDX-License-Identifier: MIT
"""A folder that stands for a board: the board's provisioning script runs in it, with its mounts left out."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from protopi.sandbox import Bind

if TYPE_CHECKING:
    from collections.abc import Callable

    from protopi.boot.tools import Tools

FOLDER = Path(__file__).resolve().parent.parent / "image/rootfs/usr/lib/protopi"
#: The programs that change files; a power cut is tried before and after each call.
CHANGING = ("chmod", "cp", "dd", "head", "install", "mkdir", "mv", "rm", "sync")
_CUT = """\
count=$(($(cat "{root}/count") + 1))
echo "$count" > "{root}/count"
[ "$CUT" != "$count-before" ] || {{ kill -9 $PPID; exit 1; }}
{program} "$@"
status=$?
[ "$CUT" != "$count-after" ] || kill -9 $PPID
exit $status
"""


@dataclass(frozen=True, slots=True)
class Board:
    """The board whose file systems lie below `root`."""

    root: Path

    @property
    def store(self) -> Path:
        """What was provisioned."""
        return self.root / "data/provision"

    @property
    def file(self) -> Path:
        """The file on the card's first partition."""
        return self.root / "selector/provision.txt"

    def prepare(self) -> Board:
        """Make the folders, and stand-ins for what needs root."""
        for folder in ("bin", "data", "selector"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        for name in ("mount", "umount", "hostname"):
            self.program(name)
        return self

    def program(self, name: str, text: str = "") -> None:
        """A program that the script finds before the host's."""
        (self.root / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.root / "bin" / name).chmod(0o755)

    def dropbear(self, tools: Tools) -> None:
        """The tools tree's dropbearkey, as the image has one."""
        binds = [Bind(self.root, "/host" + str(self.root)), Bind(self.root, str(self.root))]
        self.program("dropbearkey", f'exec {shlex.join(tools.argv(["dropbearkey"], binds))} "$@"')

    def cuts(self) -> None:
        """Let a boot end before or after the nth call of a program that changes files."""
        for name in CHANGING:
            program = shutil.which(name)
            assert program is not None
            self.program(name, _CUT.format(root=self.root, program=program))

    def start(
        self, lines: str | bytes | None, *, data: bool = True, cut: str = "", edit: Callable[[str], str] = str
    ) -> subprocess.CompletedProcess[str]:
        """Run the script, with a provision.txt of these lines if there are any.

        data   False: there is no data partition
        cut    "N-before" or "N-after": where the power goes (see `cuts`)
        edit   changes the script
        """
        if lines is not None:
            self.file.write_bytes(lines.encode() if isinstance(lines, str) else lines)
        (self.root / "count").write_text("0")
        (self.root / "run-provisioned").unlink(missing_ok=True)
        text = (FOLDER / "provision").read_text().replace("/data/provision", str(self.store))
        text = text.replace("mount_point=/run/protopi/selector", f"mount_point={self.root}/selector")
        text = text.replace("/usr/lib/protopi/wait-data 30", "true" if data else "false")
        text = text.replace("/run/protopi/", f"{self.root}/run-")
        text, found = re.subn(r"device=\$\(selector\) \|\| return", "device=none", text)
        assert found == 1
        environment = {**os.environ, "CUT": cut, "PATH": f"{self.root}/bin:{os.environ['PATH']}"}
        return subprocess.run(["sh", "-c", edit(text)], capture_output=True, text=True, check=False, env=environment)

    def boot(self, lines: str | bytes | None, *, data: bool = True) -> str:
        """A boot that is not cut; what the script says."""
        done = self.start(lines, data=data)
        assert done.returncode == 0, done.stderr
        assert (self.root / "run-provisioned").exists()  # whatever happened, what waits for it goes on
        return done.stdout

    def kept(self) -> dict[str, bytes]:
        """The store's files."""
        return {path.name: path.read_bytes() for path in self.store.iterdir()} if self.store.is_dir() else {}
