# SPDX-License-Identifier: MIT
"""Limits and baselines of the boot gate: `boot-tests/budgets.yaml`.

A limit is what must never be exceeded; a baseline is what the last accepted image took, and 1 % above it fails.
`--update-budget` writes baselines, in place, so that the comments of the file live on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from protopi.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: What has limits: name -> unit. All are "at most".
LIMITS = {
    "reset_to_ready_ns": "virtual ns",
    "modelled_seconds": "s",
    "first_boot_ns": "virtual ns",
    "second_boot_ns": "virtual ns",
    "console_bytes": "bytes",
    "slot_bytes": "bytes",
    "image_bytes": "bytes",
}
#: What has a baseline.
BASELINE = ("reset_to_init_ns", "init_to_ready_ns", "reset_to_ready_ns", "instructions", "sd_bytes_read")
#: What is gated against its baseline; the others are shown beside theirs.
GATED = ("reset_to_ready_ns", "instructions")
MARGIN = 0.01


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits and baseline of one image; `entry` is whose they are (an image's, or a board's default)."""

    limits: Mapping[str, float]
    baseline: Mapping[str, int]
    entry: str


def load(path: Path, image: str, board: str) -> Budget:
    """The budget of an image: its own entry, or its board's ("default-BOARD").

    Raises UserError when there is neither, or when an entry is not well formed.
    """
    try:
        data = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"cannot be read: {error}", where=path.name) from error
    entries = data if isinstance(data, dict) else {}
    for name in (image, f"default-{board}"):
        if name in entries:
            return _entry(path, name, entries[name])
    raise UserError(f"no budget for {image}, and none for default-{board}", where=path.name)


def _entry(path: Path, name: str, entry: object) -> Budget:
    if not isinstance(entry, dict) or not isinstance(entry.get("limits"), dict):
        raise UserError("needs `limits`", where=path.name, key=name)
    limits, baseline = entry["limits"], entry.get("baseline") or {}
    for where, rows, known in (("limits", limits, tuple(LIMITS)), ("baseline", baseline, BASELINE)):
        for key, value in rows.items():
            if key not in known or isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise UserError(
                    f"{key}: {value!r}", where=path.name, key=f"{name}.{where}", hint=f"known: {', '.join(known)}"
                )
    missing = [key for key in LIMITS if key not in limits and key != "modelled_seconds"]
    if missing:
        raise UserError(f"no limit for {', '.join(missing)}", where=path.name, key=f"{name}.limits")
    return Budget(dict(limits), dict(baseline), name)


def update(path: Path, image: str, board: str, values: Mapping[str, int]) -> None:
    """Store a new baseline for an image; an image without an entry gets one with its board's limits."""
    budget = load(path, image, board)
    text = path.read_text()
    block = "  baseline:\n" + "".join(f"    {key}: {values[key]}\n" for key in BASELINE if key in values)
    found = re.search(rf"^{re.escape(image)}:\n(?:(?:[ #].*)?\n)*", text, re.MULTILINE)
    if not found:
        rows = "".join(f"    {key}: {value}\n" for key, value in budget.limits.items())
        path.write_text(f"{text.rstrip()}\n\n{image}:\n  limits:\n{rows}{block}")
        return
    body = re.sub(r"^  baseline:.*\n(?:    .*\n)*", "", found[0], flags=re.MULTILINE).rstrip("\n")
    rest = text[found.end() :]
    path.write_text(f"{text[: found.start()]}{body}\n{block}" + (f"\n{rest}" if rest.strip() else ""))
