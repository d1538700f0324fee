# SPDX-License-Identifier: MIT
"""How large an image's parts are, read out of the image itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protopi.boot import firmware
from protopi.errors import UserError
from protopi.layout import BOOT_A, ROOT_A

if TYPE_CHECKING:
    from pathlib import Path

    from protopi.boot.board import Board


def sizes_of(image: Path, board: Board) -> dict[str, int]:
    """Sizes in bytes, read out of the image itself: kernel, dtb, boot_partition and rootfs (both allocated), image.

    Raises UserError when the image is not what a Protopi image is.
    """
    with firmware.Card(image) as card:
        boot = firmware.boot(image, model=board.model)
        fat = card.fat(BOOT_A)
        kernel = len(fat.read(boot.names["kernel"]))
        return {
            "kernel": kernel,
            "dtb": len(boot.dtb),
            "boot_partition": fat.allocated(),
            "rootfs": _erofs_size(card, ROOT_A),
            "image": image.stat().st_size,
        }


def _erofs_size(card: firmware.Card, number: int) -> int:
    """Bytes of an erofs: its superblock lies at 1024; blkszbits at 12, blocks at 36 (fs/erofs/erofs_fs.h)."""
    raw = card.read(card.partition(number).offset + 1024, 128)
    if raw[:4] != b"\xe2\xe1\xf5\xe0":
        raise UserError(f"partition {number} holds no erofs")
    return int.from_bytes(raw[36:40], "little") << raw[12]
