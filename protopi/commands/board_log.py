# SPDX-License-Identifier: MIT
"""Show a board's logs over SSH: the kernel's (`kernel-log`) and those of its services, merged by time.

The services' logs are on the board's data partition and outlive reboots; without that partition they are in memory.
Lines begin with the board's own time. -f shows what comes until you interrupt it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shlex
import sys
import threading
from collections.abc import Callable, Iterator

from protopi import boardfile, ssh
from protopi.commands.board_run import board_options
from protopi.commands.image import positive
from protopi.config import suggest
from protopi.errors import InfraError, UserError
from protopi.project import Project
from protopi.ui import Ui

SUMMARY = "the kernel's and the services' logs of a board"
#: Where services log (image/rootfs/usr/lib/protopi/log); the second where there is no data partition.
PLACES = ("/data/log", "/run/log")
#: Seconds for which lines of several logs are collected, to be put in order.
_COLLECT = 0.3
_HEAD = re.compile(r"==> (?:/\S*/)?([^/ ]+)/current <==")
_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6})\d*  ?(.*)", re.DOTALL)


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    board_options(parser)
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="which logs (default: all)")
    parser.add_argument("--follow", "-f", action="store_true", help="go on with what comes")
    parser.add_argument("--lines", "-n", type=positive, default=50, metavar="N", help="how many (default 50)")


class Merge:
    """A file that takes the output of `tail -v` over several logs and gives lines in order of their time."""

    def __init__(self, show: Callable[[str], object]) -> None:
        self._show = show
        self._guard = threading.Lock()
        self._service, self._rest = "", b""
        self._kept: list[tuple[str, str]] = []

    def write(self, data: bytes) -> None:
        """Take output in any pieces."""
        with self._guard:
            *lines, self._rest = (self._rest + data).split(b"\n")
            for raw in lines:
                line = "".join(
                    char if char.isprintable() or char == "\t" else "?" for char in raw.decode(errors="replace")
                )
                if head := _HEAD.fullmatch(line):
                    self._service = head[1]
                elif found := _LINE.fullmatch(line):
                    self._kept.append((found[1], f"{found[1]} {self._service}: {found[2]}"))
                elif line:  # without a time: it stays behind the line before it
                    last = self._kept[-1][0] if self._kept else ""
                    self._kept.append((last, f"{'':26} {self._service}: {line}"))

    def flush(self) -> None:
        """Nothing: lines are shown in order, not as they come."""

    def show(self, last: int = 0) -> None:
        """Show what was taken (or the `last` lines of it) and forget it."""
        with self._guard:
            lines, self._kept = sorted(self._kept, key=lambda one: one[0]), []
        for _, line in lines[-last:]:
            self._show(line)


def script(logs: list[str], lines: int, *, follow: bool) -> str:
    """What the board runs. To follow, it ends when its standard input does: with us, however we end."""
    if follow:
        words = " ".join(shlex.quote(f"{log}/current") for log in logs)
        return f"tail -v -n {lines} -F {words} & p=$!; cat > /dev/null; kill $p"
    # s6-log's older files sort by name; a log that has just begun a new file would be short without them.
    return "; ".join(
        f"echo '==> {log}/current <=='; cat {shlex.quote(log)}/@*.[su] {shlex.quote(log)}/current 2> /dev/null "
        f"| tail -n {lines}"
        for log in logs
    )


def find_logs(session: ssh.Session, services: list[str]) -> list[str]:
    """The folders of the logs that are asked for, on the board. Raises UserError for a service that has none."""
    patterns = " ".join(f"{place}/*/current" for place in PLACES)
    _, text, _ = session.ask(f"ls -d {patterns} 2> /dev/null")
    # The first place wins: the second may hold what was logged before the data partition came.
    known: dict[str, str] = {}
    for path in text.splitlines():
        folder = path.removesuffix("/current")
        known.setdefault(folder.rpartition("/")[2], folder)
    if not known:
        raise InfraError(f"{session.where} has no logs", hint="it may have just started; or it is no Protopi")
    for service in services:
        if service not in known:
            raise UserError(
                f"there is no log of {service}", hint=suggest(service, known) or f"logs: {', '.join(sorted(known))}"
            )
    return [known[name] for name in services or sorted(known)]


@contextlib.contextmanager
def _held_open() -> Iterator[io.FileIO]:
    """A standard input that says nothing and ends with us."""
    read, write = os.pipe()
    with open(read, "rb", buffering=0) as held:
        try:
            yield held
        finally:
            os.close(write)


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Print the logs."""
    merge = Merge(lambda line: print(line, flush=True))
    with ssh.connect(boardfile.load(arguments.name), arguments.identity) as session:
        logs = find_logs(session, arguments.services)
        command = script(logs, arguments.lines, follow=arguments.follow)
        if not arguments.follow:
            session.run(command, out=merge, err=sys.stderr.buffer)
            merge.show(arguments.lines)
            return 0
        over = threading.Event()

        def show() -> None:
            while not over.wait(_COLLECT):
                merge.show()

        shower = threading.Thread(target=show)
        shower.start()
        try:
            with _held_open() as stdin:
                return session.run(command, out=merge, err=sys.stderr.buffer, stdin=stdin)
        finally:
            over.set()
            shower.join()
            merge.show()
