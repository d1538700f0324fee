# SPDX-License-Identifier: MIT
"""What a board did before: one JSON line a run, in a file for each board, below the user's folder of state.

A run is appended by a single write under a lock and flushed, so that two gates never mix their lines and a power cut
loses at most the last one. A line that a cut left half-written is left out when the file is read, and is ended before
the next one is written.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protopi.errors import InfraError
from protopi.hwgate.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protopi.hwgate.bench import Facts
    from protopi.hwgate.run import Run


@dataclass(frozen=True, slots=True)
class Entry:
    """One run: when, of what, on what, with which times (seconds, of the gated phase) and verdicts."""

    started: str
    image: str
    disk_id: str | None
    where: str
    verdict: Verdict
    accepted: str
    bench: dict[str, Any]
    times: tuple[float, ...]
    attempts: tuple[Verdict, ...]

    @property
    def title(self) -> str:
        """How a report names it."""
        return f"{self.started} ({self.image} {self.disk_id or 'of unknown id'})"

    @property
    def passed(self) -> bool:
        """Whether it can be compared with: a pass, with times. A run that alarmed is none."""
        return self.verdict is Verdict.PASS and bool(self.times)

    def differences(self, facts: Facts) -> list[tuple[str, object, object]]:
        """What is not alike between then and now: (what, then, now)."""
        now = facts.to_json()
        rows = [(what, self.bench.get(what), now[what]) for what in ("revision", "memory_mb", "eeprom", "card")]
        return [row for row in rows if row[1] != row[2]]


def folder() -> Path:
    """Where the files are by default."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "protopi" / "boards"


def path_of(board: str, below: Path | None = None) -> Path:
    """The file of a board."""
    return (below or folder()) / f"{board}.jsonl"


def to_line(run: Run) -> bytes:
    """A run as a line of the file."""
    row = {
        "v": 1,
        "started": run.started,
        "image": run.subject.name,
        "disk_id": run.subject.disk_id,
        "where": run.facts.where,
        "verdict": run.verdict.value,
        "accepted": run.accepted,
        "bench": run.facts.to_json(),
        "times": [round(value, 6) for value in run.times],
        "attempts": [attempt.verdict.value for attempt in run.attempts],
    }
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def append(path: Path, run: Run) -> None:
    """Add a run. Raises InfraError when the file cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file).st_size
            torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
            data = (b"\n" if torn else b"") + to_line(run)
            if os.write(file, data) != len(data):
                raise InfraError(f"{path}: only a part of the run could be written", hint="make room")
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise InfraError(f"{path}: the run could not be remembered: {error.strerror}") from error


def read(path: Path) -> tuple[list[Entry], int]:
    """All runs, the oldest first, and how many lines could not be understood. A file that is not there is empty."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise InfraError(f"{path}: {error.strerror}") from error
    entries, bad = [], 0
    for line in lines:
        if not line.strip():
            continue
        try:
            entries.append(_entry(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            bad += 1
    return entries, bad


def _entry(row: Any) -> Entry:
    if row["v"] != 1:
        raise ValueError("another version")
    return Entry(
        started=str(row["started"]),
        image=str(row["image"]),
        disk_id=row["disk_id"],
        where=str(row["where"]),
        verdict=Verdict(row["verdict"]),
        accepted=str(row["accepted"]),
        bench=dict(row["bench"]),
        times=tuple(float(value) for value in row["times"]),
        attempts=tuple(Verdict(word) for word in row["attempts"]),
    )


def reference(entries: Sequence[Entry], facts: Facts, image: str) -> Entry | None:
    """The run that a new one of this image is compared with: a pass of that image's name, at the same kind of place.

    Among those on an alike board (EEPROM, card, ...; where there are none, among all) it is the last that was accepted
    by hand, else the first. Not simply the last: then a board could become slower by a little in every run, unseen.
    """
    fitting = [e for e in entries if e.passed and e.image == image and e.where == facts.where]
    fitting = [e for e in fitting if not e.differences(facts)] or fitting
    return next((e for e in reversed(fitting) if e.accepted), fitting[0] if fitting else None)


def recent(entries: Sequence[Entry], *, where: str) -> list[Verdict]:
    """The verdicts of all attempts so far, in their order."""
    return [verdict for entry in entries if entry.where == where for verdict in entry.attempts]
