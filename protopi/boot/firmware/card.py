# SPDX-License-Identifier: MIT
"""A raw SD image, as the boot ROM sees it; and the error that says why it would not boot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protopi import mbr
from protopi.boot.fat import Fat
from protopi.errors import GateError, UserError

if TYPE_CHECKING:
    from pathlib import Path

#: Partition types that are looked into; what lies there must be FAT12, FAT16 or FAT32 [autoboot].
FAT_TYPES = (0x01, 0x04, 0x06, 0x0B, 0x0C, 0x0E)


class FirmwareRefusal(GateError):
    """The real firmware would not boot this card (or not as meant); the message names the rule's source."""


def refusal(message: str, source: str) -> FirmwareRefusal:
    """The error for a rule; `source` is a key of docs/firmware.md."""
    return FirmwareRefusal(f"the firmware would not boot this card: {message} [{source}]")


class Card:
    """A raw SD image, opened for reading."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")
        self.size = path.stat().st_size
        try:
            self.disk, self.partitions = mbr.parse(self.read)
            for part in self.partitions:
                if part.offset + part.size > self.size:
                    raise UserError(f"partition {part.number} ends beyond the image ({path.name}, {self.size} bytes)")
        except UserError:
            self._file.close()
            raise

    def __enter__(self) -> Card:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset` on; fewer at the end of the image."""
        self._file.seek(offset)
        return self._file.read(length)

    def partition(self, number: int) -> mbr.Partition:
        """The partition of that number. Raises UserError when there is none."""
        for part in self.partitions:
            if part.number == number:
                return part
        raise UserError(f"the card has no partition {number}")

    def fat(self, number: int) -> Fat:
        """The FAT file system in a partition. Raises UserError when it is none."""
        part = self.partition(number)
        return Fat(lambda offset, length: self.read(part.offset + offset, length))
