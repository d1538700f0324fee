# SPDX-License-Identifier: MIT
"""What a board says of itself: which image it runs, which board, EEPROM and card it is, what its card cost.

From its kernel log and from the console report `board` (init/report_board.c).
"""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Any

from protopi.boot import judge
from protopi.boot.console import Timeout
from protopi.errors import InfraError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from protopi.boot.console import Console

#: The image's disk id is a hash of what is in the image (recipes/sdcard.py), and the root is found by it.
_DISK = re.compile(r"Kernel command line:.*?\broot=PARTUUID=([0-9a-fA-F]{8})-")
_MODEL = re.compile(r"^Machine model: (.+)")
_MEMORY = re.compile(r"^Memory: \d+K/(\d+)K available")
_HOST = re.compile(r"^(mmc\d+): SDHCI controller on ")
_CARD = re.compile(r"^(mmc\d+): new .*\bcard at address ")
_ERROR = 3  # KERN_ERR; lower is worse


def ask(console: Console, marker: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """The board's own word; `silent` says why there is no more of it."""
    sectors = marker.get("root_sectors")
    told: dict[str, Any] = {"card_bytes": sectors * 512 if isinstance(sectors, int) else None}
    try:
        told.update(of_log(judge.parse_kmsg(console.get("kmsg", seconds=seconds))))
        told.update(of_report(console.get("board", seconds=seconds)))
    except (Timeout, ValueError, InfraError) as error:
        told["silent"] = str(error)  # an older image has no report `board`
    return told


def of_report(report: bytes) -> dict[str, Any]:
    """`revision` (the code), `eeprom` (the date on which it was built) and `card`, as far as the board knows them."""
    rows = dict(line.partition("=")[::2] for line in report.decode("ascii", "replace").splitlines())
    told: dict[str, Any] = {}
    if re.fullmatch(r"[0-9a-f]{6,8}", rows.get("revision", "")):
        told["revision"] = rows["revision"]
    if rows.get("eeprom", "").isdigit():
        built = datetime.datetime.fromtimestamp(int(rows["eeprom"]), datetime.UTC)
        told["eeprom"] = built.date().isoformat()
    card = " ".join(rows[key] for key in ("card_name", "card_serial") if rows.get(key))
    return {**told, "card": card} if card else told


def of_log(records: Sequence[judge.Record]) -> dict[str, Any]:
    """`disk_id`, `model`, `memory_mb`, `card_init_seconds` and `kernel_errors`, as far as the log has them."""
    told: dict[str, Any] = {}
    for record in records:
        if found := _DISK.search(record.text):
            told["disk_id"] = found[1].lower()
        elif found := _MODEL.match(record.text):
            told["model"] = found[1]
        elif found := _MEMORY.match(record.text):
            told["memory_mb"] = int(found[1]) // 1024
    told["card_init_seconds"] = card_init(records)
    told["kernel_errors"] = [record.text[:160] for record in records if record.level <= _ERROR][:20]
    return told


def card_init(records: Sequence[judge.Record]) -> float | None:
    """Seconds from the card's host being ready to the card being there, by the kernel log; None: no such lines."""
    hosts: dict[str, int] = {}
    for record in records:
        if found := _HOST.match(record.text):
            hosts[found[1]] = record.us
        elif (found := _CARD.match(record.text)) and found[1] in hosts:
            return (record.us - hosts[found[1]]) / 1e6
    return None
