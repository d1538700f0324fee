# SPDX-License-Identifier: MIT
"""What a person sees while a card is written: stage, bytes, speed, time left; few plain lines where no terminal is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from protopi.ui import mebibytes

if TYPE_CHECKING:
    from protopi.ui import Ui


class FlashProgress:
    """Use as a context manager; call it with (stage, bytes done, bytes in all)."""

    def __init__(self, ui: Ui) -> None:
        self._ui = ui
        self._tasks: dict[str, TaskID] = {}
        self._quarter: tuple[str, int] = ("", 0)
        self._bars: Progress | None = None
        if ui.live:
            self._bars = Progress(
                TextColumn("{task.description:>9}", markup=False),
                BarColumn(),
                DownloadColumn(binary_units=True),
                TransferSpeedColumn(),
                TimeRemainingColumn(compact=True),
                console=ui.console,
                transient=True,
            )

    def __enter__(self) -> FlashProgress:
        return self  # the bars begin with the first bytes: until then a question may be on the terminal

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` bytes of a stage are finished."""
        if self._bars:
            self._bars.start()  # once; later calls do nothing
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(stage, total=total)
            self._bars.update(self._tasks[stage], completed=done)
            return
        quarter = (stage, done * 4 // total if total else 4)
        if quarter != self._quarter and quarter[1]:
            self._quarter = quarter
            self._ui.say(f"{stage}: {mebibytes(done)} of {mebibytes(total)}")
