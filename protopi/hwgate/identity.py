# SPDX-License-Identifier: MIT
"""Which image is which: the disk id in its MBR, which recipes/sdcard.py makes from what is in the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protopi.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path


def disk_id_of(image: Path) -> str:
    """Eight hexadecimal digits, as in a PARTUUID. Raises UserError when the file is no image of a card."""
    try:
        with image.open("rb") as file:
            sector = file.read(512)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(image)) from error
    if len(sector) < 512 or sector[510:] != b"\x55\xaa":
        raise UserError("is no image of a card: it has no MBR", where=str(image))
    return sector[440:444][::-1].hex()
