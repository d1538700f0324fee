# SPDX-License-Identifier: MIT
from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from protopi.boot.fat import Fat
from protopi.errors import UserError
from tests.cards import fat16

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import InTools

FILES = {"Image": b"k" * 5000, "bcm2711-rpi-4-b.dtb": b"tree", "EMPTY.TXT": b"", "exactly-thirteen-13": b"x" * 512}


def opened(image: bytes) -> Fat:
    return Fat(lambda offset, length: image[offset : offset + length])


def test_files_read_back_whatever_the_case() -> None:
    fat = opened(fat16(FILES))
    assert fat.bits == 16
    for name, content in FILES.items():
        assert fat.read(name) == content
        assert fat.read(f"/{name.upper()}") == content
    assert sorted(entry.name.lower() for entry in fat.list()) == sorted(name.lower() for name in FILES)
    assert not fat.exists("nothing")
    assert not fat.exists("Image/x")


def test_what_is_used_is_known() -> None:
    image = fat16(FILES)
    fat = opened(image)
    assert fat.allocated() == fat.end() == image.index(b"k" * 512) + 10 * 512 + 512 + 512
    assert not any(image[fat.end() :])


@pytest.mark.parametrize("damage", ["signature", "sector", "loop", "short"])
def test_damage_is_refused(damage: str) -> None:
    image = bytearray(fat16(FILES))
    if damage == "signature":
        image[510] = 0
    elif damage == "sector":
        image[11:13] = b"\x03\x00"
    elif damage == "loop":
        struct.pack_into("<H", image, 512 + 2 * 4, 3)  # cluster 4 of Image goes back to 3
    else:
        struct.pack_into("<H", image, 512 + 2 * 4, 0xFFFF)  # Image ends too early
    with pytest.raises(UserError, match="FAT"):
        opened(bytes(image)).read("Image")


@pytest.mark.image
@pytest.mark.parametrize("bits", [12, 16, 32])
def test_it_reads_what_mkfs_and_mtools_wrote(bits: int, tmp_path: Path, in_tools: InTools) -> None:
    image, content = tmp_path / "fat", tmp_path / "a rather long name.bin"
    content.write_bytes(bytes(range(256)) * 700)
    with image.open("wb") as raw:
        raw.truncate({12: 1 << 20, 16: 16 << 20, 32: 40 << 20}[bits])
    in_tools(["mkfs.vfat", "-F", str(bits), "-s", "1", "fat"], tmp_path)
    in_tools(["mmd", "-i", "fat", "::Folder"], tmp_path)
    in_tools(["mcopy", "-i", "fat", content.name, "::Folder/"], tmp_path)
    in_tools(["mcopy", "-i", "fat", content.name, "::lower.txt"], tmp_path)
    fat = opened(image.read_bytes())
    assert fat.bits == bits
    assert fat.read(f"folder/{content.name}") == content.read_bytes()
    assert [path for path, _ in fat.walk()] == [f"/Folder/{content.name}", "/lower.txt"]
