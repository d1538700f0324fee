# SPDX-License-Identifier: MIT
"""What a person sees while something runs: live lines on a terminal, plain lines elsewhere. All of it on stderr."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

_NOTE_EVERY = 60.0  # seconds between signs of life where there is no terminal


def duration(seconds: float) -> str:
    """Seconds as a person says them: 0.4 s, 12 s, 8 min 05 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"


def mebibytes(size: int) -> str:
    """Bytes as MiB with one digit."""
    return f"{size / (1 << 20):.1f} MiB"


class Ui:
    """Messages and the progress of steps. Safe to use from several threads."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self.live = self.console.is_terminal and not self.console.is_dumb_terminal
        self._progress: Progress | None = None
        self._guard = threading.Lock()

    def __enter__(self) -> Ui:
        if self.live:
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}", style="dim", markup=False),
                console=self.console,
                transient=True,
            )
            self._progress.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._progress:
            self._progress.stop()
            self._progress = None

    def say(self, text: str, style: str = "") -> None:
        """One line (or more) that stays."""
        with self._guard:
            self.console.print(text, style=style, markup=False)

    def warn(self, text: str) -> None:
        """Something that a person should know, although work goes on."""
        self.say(f"warning: {text}", style="yellow")

    @contextmanager
    def step(self, name: str) -> Iterator[StepLine]:
        """Announce a step and time it."""
        line = StepLine(self, name)
        try:
            yield line
        finally:
            line.close()

    @contextmanager
    def download(self, total: int) -> Iterator[DownloadLine]:
        """Show how far a download of `total` bytes is."""
        line = DownloadLine(self, total)
        try:
            yield line
        finally:
            line.close()


class StepLine:
    """The line of one running step."""

    def __init__(self, ui: Ui, name: str) -> None:
        self._ui, self._name, self._start = ui, name, time.monotonic()
        self._last = self._start
        self._task: TaskID | None = None
        if ui._progress:
            self._task = ui._progress.add_task(name, total=None, note="")
        else:
            ui.say(f"{name}: started")

    def note(self, text: str) -> None:
        """What the step is at."""
        progress, now = self._ui._progress, time.monotonic()
        if progress and self._task is not None:
            progress.update(self._task, note=text[:80])
        elif now - self._last >= _NOTE_EVERY:
            self._last = now
            self._ui.say(f"{self._name}: {duration(now - self._start)}: {text[:100]}")

    def done(self, text: str = "done") -> None:
        """The step's last word."""
        self._ui.say(f"{self._name}: {text} in {duration(time.monotonic() - self._start)}")

    def close(self) -> None:
        """Take the line off the terminal."""
        if self._ui._progress and self._task is not None:
            self._ui._progress.remove_task(self._task)


class DownloadLine:
    """The line of a download."""

    def __init__(self, ui: Ui, total: int) -> None:
        self._ui, self._tenth = ui, 0
        self._bar: Progress | None = None
        if ui.live:
            self._bar = Progress(
                TextColumn("fetch"), BarColumn(), DownloadColumn(True), TransferSpeedColumn(), console=ui.console,
                transient=True,
            )  # fmt: skip
            self._task = self._bar.add_task("fetch", total=total)
            self._bar.start()

    def update(self, done: int, total: int) -> None:
        """`done` of `total` bytes are there."""
        if self._bar:
            self._bar.update(self._task, completed=done)
        elif total and done * 4 // total > self._tenth:
            self._tenth = done * 4 // total
            self._ui.say(f"fetch: {mebibytes(done)} of {mebibytes(total)}")

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar:
            self._bar.stop()
