# SPDX-License-Identifier: MIT
"""Rules over what a board says of itself: the kernel log, and the services. No answer is never a good answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protopi.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_ERROR = 3  # KERN_ERR; lower is worse
#: Fails at any level, wherever in a line it stands, and cannot be allowed.
_NEVER = (
    "Kernel panic",
    "Internal error:",
    "Unable to handle kernel",
    "Oops",
    "BUG:",
    "kernel BUG at",
    "WARNING:",
    "INFO: rcu",
    "rcu: INFO:",
    "blocked for more than",
    "Out of memory:",
    "UBSAN:",
    "KASAN:",
    "unreferenced object",
    "cut here",
)


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the kernel log: level (0 is worst), sequence number, microseconds, text."""

    level: int
    seq: int
    us: int
    text: str


@dataclass(frozen=True, slots=True)
class Service:
    """One service as the board reports it: `exit_code` is a number, sigN, or "-" when it never ended."""

    name: str
    wanted: str
    state: str
    pid: int
    exit_code: str
    ends: int
    failed: bool


def load_allowed(path: Path) -> frozenset[str]:
    """The exact lines of an allow-list. Each needs a comment above it that says why. Raises UserError."""
    allowed: set[str] = set()
    reason = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip():
            reason = False
        elif line.startswith("#"):
            reason = not line.startswith("# SPDX")
        elif not reason:
            raise UserError("a line without a comment above it that says why", where=f"{path.name}:{number}")
        else:
            allowed.add(line)
    return frozenset(allowed)


def parse_kmsg(raw: bytes) -> list[Record]:
    """Records of /dev/kmsg ("level,seq,us,flags;text", with continuation lines that begin with a blank).

    Raises ValueError when it is no kernel log, or has lost its beginning or a record.
    """
    records: list[Record] = []
    for line in raw.decode("utf-8", "replace").split("\n"):
        if not line or line.startswith(" "):
            continue
        head, semicolon, text = line.partition(";")
        fields = head.split(",")
        if not semicolon or len(fields) < 4 or not all(f.isdigit() for f in fields[:3]):
            raise ValueError(f"not a kernel log record: {line[:80]!r}")
        text = re.sub(r"\\x([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), text)
        records.append(Record(int(fields[0]) & 7, int(fields[1]), int(fields[2]), text))
    if not records:
        raise ValueError("the kernel log is empty")
    for want, record in enumerate(records):
        if record.seq != want:
            raise ValueError(f"the kernel log has lost records before number {record.seq}")
    return records


def kernel_log(records: Collection[Record], allowed: Collection[str]) -> list[str]:
    """Reasons to fail: lines that must never be, and error lines that are not exactly in the allow-list."""
    reasons = []
    for record in records:
        if any(word in record.text for word in _NEVER):
            reasons.append(f"kernel log: {record.text}")
        elif record.level <= _ERROR and record.text not in allowed:
            reasons.append(f"kernel log, error line (level {record.level}): {record.text}")
    return reasons


def parse_services(raw: bytes) -> list[Service]:
    """One line a service: name, wanted, up or down, pid, exit code, how often it ended, ok or failed.

    Raises ValueError.
    """
    services = []
    for line in raw.decode("utf-8", "replace").splitlines():
        if not line.strip():
            continue
        words = line.split()
        if len(words) != 7 or words[6] not in ("ok", "failed"):
            raise ValueError(f"not a service line: {line[:80]!r}")
        name, wanted, state, pid, code, ends, verdict = words
        if not pid.isdigit() or not ends.isdigit():
            raise ValueError(f"not a service line: {line[:80]!r}")
        services.append(Service(name, wanted, state, int(pid), code, int(ends), verdict == "failed"))
    return services


def unsettled(services: Collection[Service]) -> bool:
    """Whether a service is on its way up: a report of that moment says nothing."""
    return not services or any(s.wanted == "up" and s.state != "up" and not s.failed for s in services)


def service_faults(services: Collection[Service]) -> list[str]:
    """Reasons to fail: no service at all; one that failed, is down against its wish, or had to be started again."""
    if not services:
        return ["services: the board reports none"]
    reasons = []
    for service in services:
        if service.failed:
            reasons.append(f"service {service.name} failed (exit code {service.exit_code}, ended {service.ends} times)")
        elif service.wanted == "up" and service.state != "up":
            reasons.append(f"service {service.name} is {service.state} (exit code {service.exit_code})")
        elif service.wanted == "up" and service.ends:
            reasons.append(f"service {service.name} ended {service.ends} times (exit code {service.exit_code})")
        elif service.wanted != "up" and service.exit_code not in ("0", "-"):
            reasons.append(f"service {service.name} ended with exit code {service.exit_code}")
    return reasons
