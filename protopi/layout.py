# SPDX-License-Identifier: MIT
"""Where the partitions of an SD image lie: a pure function from the sizes to a table.

p1 FAT selector (autoboot.txt, and the user's provisioning file), p2 FAT boot A, p3 FAT boot B, p4 extended:
p5 root A, p6 root B, p7 data, which is last so that the first boot can let it grow. Everything begins at a multiple
of 1 MiB (flash erase blocks are 4 MiB at most on the cards of interest, and 1 MiB divides them), and the image is a
power of two long because QEMU's SD card takes nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from protopi.errors import Problem, UserError, UserErrors
from protopi.mbr import SECTOR, TYPE_FAT16_LBA, TYPE_LINUX, Partition

MIB = 1 << 20
#: The selector holds one 512-byte file and what a user puts there; FAT16 wants 4085 clusters, so 8 MiB.
SELECTOR_SIZE = 8 * MIB
#: The smallest and largest image that is made. The data partition grows on the card, so large images help nobody.
MIN_TOTAL, MAX_TOTAL = 64 * MIB, 16 << 30
#: Smallest and largest sizes. FAT16 ends at 2 GiB, with clusters so large that most of it is lost.
BOUNDS = {"boot": (4 * MIB, 1 << 30), "root": (MIB, 4 << 30), "data": (8 * MIB, 8 << 30)}
SELECTOR, BOOT_A, BOOT_B, ROOT_A, ROOT_B, DATA = 1, 2, 3, 5, 6, 7


@dataclass(frozen=True, slots=True)
class Layout:
    """The partitions by number, and the length of the whole image in bytes (a power of two)."""

    partitions: tuple[Partition, ...]
    total: int

    def __getitem__(self, number: int) -> Partition:
        return next(p for p in self.partitions if p.number == number)


def power_of_two(size: int) -> int:
    """The smallest power of two that is not below `size`."""
    return 1 << max(size - 1, 0).bit_length()


def _round_up(size: int, unit: int = MIB) -> int:
    return -(-size // unit) * unit


def compute(boot: int, root: int, data: int) -> Layout:
    """Place the partitions; `boot` and `root` are the bytes of one slot, each exists twice.

    The data partition takes what the power of two leaves over, at least `data`.
    Raises UserErrors when sizes are absurd, with the numbers.
    """
    problems = []
    for name, size in (("boot", boot), ("root", root), ("data", data)):
        least, most = BOUNDS[name]
        if not least <= size <= most:
            what = "too few" if size < least else "too many"
            hint = f"at least {least >> 20} MiB and at most {most >> 20} MiB"
            problems.append(Problem(f"{size} bytes are {what}", key=f"partitions.{name}", hint=hint))
    if problems:
        raise UserErrors(problems)
    place = MIB
    rows: list[tuple[int, int, int, int]] = []
    wanted = (
        (SELECTOR, TYPE_FAT16_LBA, SELECTOR_SIZE),
        (BOOT_A, TYPE_FAT16_LBA, boot),
        (BOOT_B, TYPE_FAT16_LBA, boot),
        (ROOT_A, TYPE_LINUX, root),
        (ROOT_B, TYPE_LINUX, root),
        (DATA, TYPE_LINUX, data),
    )
    for number, kind, size in wanted:
        if number >= ROOT_A:
            place += MIB  # the logical partition's record lies in the MiB before it
        rows.append((number, kind, place, _round_up(size)))
        place += _round_up(size)
    total = max(power_of_two(place), MIN_TOTAL)
    if total > MAX_TOTAL:
        raise UserError(
            f"the partitions need {place} bytes, so the image would be {total} bytes long",
            key="partitions",
            hint=f"at most {MAX_TOTAL} bytes; the data partition grows by itself on the first boot",
        )
    number, kind, start, _ = rows[-1]
    rows[-1] = (number, kind, start, total - start)
    return Layout(
        tuple(Partition(n, k, s // SECTOR, length // SECTOR, bootable=n == SELECTOR) for n, k, s, length in rows),
        total,
    )


def must_fit(what: str, need: int, have: int, key: str) -> None:
    """Raise UserError with both numbers when `need` bytes do not fit into `have`."""
    if need > have:
        raise UserError(
            f"{what} needs {need} bytes ({need / MIB:.1f} MiB), the partition has {have} ({have / MIB:.1f} MiB)",
            key=key,
            hint=f"{key}: {-(-need // MIB)}M or more",
        )
