# SPDX-License-Identifier: MIT
"""What an image is, by the manifest beside it; the file's name says nothing.

The manifest lists the sha256 of what was built with it. It counts only when it lists this image's block map, whose sums
bind every byte that is written, or, without a map, the image itself.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from protopi.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from protopi.flash.source import Source

MANIFEST = "manifest.json"
#: The file in an image that makes its serial console a root shell (`console_shell: true`).
CONSOLE_SHELL = "/etc/protopi/console-shell"


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is known of an image; `doubt` why nothing is."""

    image: str = ""
    board: str = ""
    console_shell: bool = False
    doubt: str = ""


def provenance(source: Source) -> Provenance:
    """What the manifest says of this image."""
    path = source.image.parent / MANIFEST
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        sums = {entry["sha256"] for entry in document["outputs"].values()}
        known = Provenance(document["image"], document["board"], CONSOLE_SHELL in document["rootfs"]["files"])
    except FileNotFoundError:
        return Provenance(doubt=f"there is no {MANIFEST} beside it")
    except OSError as error:
        return Provenance(doubt=f"{path} cannot be read: {error.strerror}")
    except (ValueError, KeyError, TypeError, AttributeError):
        return Provenance(doubt=f"{path} is damaged")
    if (source.map.sha256 if source.mapped else _sum(source.image)) not in sums:
        return Provenance(doubt=f"{path} is another image's")
    return known


def _sum(path: Path) -> str:
    with path.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


def admit(found: Provenance, name: str, *, dev: bool) -> None:
    """Raise UserError for an image that gives everybody at the serial line a root shell, or may do so."""
    if dev:
        return
    if found.doubt:
        raise UserError(
            f"what {name} is cannot be told: {found.doubt}",
            hint="flash it from the folder it was built in, or say --dev when you know that it may be flashed",
        )
    if found.console_shell:
        raise UserError(
            f"{name} is a development image: whoever reaches its serial line is root (console_shell: true)",
            hint="flash another image, or say --dev when the card is for your desk",
        )
