# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from protopi import bmap, layout, mbr
from protopi.errors import UserErrors

MIB = 1 << 20


def disk_of(records: dict[int, bytes]) -> bytes:
    image = bytearray(max(records) * 512 + 512)
    for sector, record in records.items():
        image[sector * 512 : sector * 512 + 512] = record
    return bytes(image)


def parse(image: bytes) -> tuple[int, tuple[mbr.Partition, ...]]:
    return mbr.parse(lambda offset, length: image[offset : offset + length])


def test_a_table_reads_back_as_it_was_written() -> None:
    place = layout.compute(40 * MIB, 56 * MIB, 32 * MIB)
    disk, found = parse(disk_of(mbr.make(0x1234ABCD, place.partitions)))
    assert disk == 0x1234ABCD
    assert found == place.partitions
    assert [p.number for p in found] == [1, 2, 3, 5, 6, 7]


def test_the_layout_is_a_power_of_two_and_data_takes_the_rest() -> None:
    place = layout.compute(40 * MIB, 56 * MIB, 32 * MIB)
    assert place.total == 256 * MIB
    data = place[layout.DATA]
    assert data.offset + data.size == place.total
    assert data.size >= 32 * MIB
    assert all(p.offset % MIB == 0 for p in place.partitions)
    ends = 0
    for part in place.partitions:
        assert part.offset >= ends
        ends = part.offset + part.size


@pytest.mark.parametrize(("boot", "root", "data"), [(1, 56 * MIB, 32 * MIB), (40 * MIB, 0, 32 * MIB), (1 << 36,) * 3])
def test_absurd_sizes_are_the_users_mistake(boot: int, root: int, data: int) -> None:
    with pytest.raises(UserErrors, match=r"bytes"):
        layout.compute(boot, root, data)


def test_what_does_not_fit_is_said_with_both_numbers() -> None:
    with pytest.raises(UserErrors, match=r"needs 58720257 bytes .* the partition has 58720256"):
        layout.must_fit("rootfs.erofs", 56 * MIB + 1, 56 * MIB, "partitions.root")


def test_the_disk_id_follows_from_the_inputs() -> None:
    assert mbr.disk_id("a", "b") == mbr.disk_id("a", "b") != mbr.disk_id("a", "c")
    assert mbr.disk_id("ab", "") != mbr.disk_id("a", "b")
    assert mbr.partuuid(0xBEEF, 5) == "0000beef-05"


@pytest.mark.parametrize(
    "parts",
    [
        [mbr.Partition(1, 0x83, 2048, 10), mbr.Partition(2, 0x83, 2050, 10)],
        [mbr.Partition(1, 0x83, 0, 10)],
        [mbr.Partition(5, 0x83, 2048, 10), mbr.Partition(7, 0x83, 4096, 10)],
        [mbr.Partition(4, 0x83, 2048, 10), mbr.Partition(5, 0x83, 8192, 10)],
        [mbr.Partition(1, 0x83, 2048, 10), mbr.Partition(5, 0x83, 2058, 10)],
    ],
)
def test_impossible_tables_are_refused(parts: list[mbr.Partition]) -> None:
    with pytest.raises(ValueError, match=r"partition|number"):
        mbr.make(1, parts)


def test_broken_tables_are_refused() -> None:
    with pytest.raises(UserErrors, match="55 aa"):
        parse(bytes(1024))
    place = layout.compute(40 * MIB, 56 * MIB, 32 * MIB)
    records = mbr.make(1, place.partitions)
    second = sorted(records)[2]
    with pytest.raises(UserErrors, match=f"sector {second}"):
        parse(disk_of({**records, second: bytes(512)}))
    first = sorted(records)[1]
    looped = bytearray(records[first])
    looped[446 + 16 + 8 : 446 + 16 + 12] = bytes(4)  # the next record is the first one again
    with pytest.raises(UserErrors, match="loops"):
        parse(disk_of({**records, first: bytes(looped)}))


def test_block_ranges_merge_and_keep_to_the_image() -> None:
    assert bmap.blocks([(0, 512), (4096, 1), (20480, 8192), (24576, 4096), (9000, 0)], 65536) == [(0, 1), (5, 6)]
    with pytest.raises(ValueError, match="outside"):
        bmap.blocks([(65536, 1)], 65536)
