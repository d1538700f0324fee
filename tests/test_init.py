# SPDX-License-Identifier: MIT
"""The pure parts of PID 1 and its companions, compiled for the build machine."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import InTools

PROJECT = Path(__file__).parent.parent
SOURCES = ("base64.c", "boot_line.c", "crc32.c", "data.c", "growdata_table.c", "report_frame.c", "util.c")
FLAGS = ("-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-g")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, in_tools: InTools) -> Callable[..., str]:
    """`program("boot")`: what the test program prints, built with sanitizers and run in the tools tree."""
    folder = tmp_path_factory.mktemp("init")
    sources = ["init/test/test_init.c", *(f"init/{name}" for name in SOURCES)]
    includes = ["-I/host/project/init", "-isystem", "/host/project/mcp/include/uapi"]
    command = ["gcc", *FLAGS, *SANITIZE, *includes, "-o", "test_init"]
    built = in_tools([*command, *(f"/host/project/{name}" for name in sources)], folder, check=False)
    assert built.returncode == 0, built.stderr

    def run(*arguments: str) -> str:
        done = in_tools(["./test_init", *arguments], folder, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.image
def test_c_units(program: Callable[..., str]) -> None:
    lines = program().splitlines()
    assert lines[-1] == f"1..{len(lines) - 1}"


@pytest.mark.image
def test_boot_line_is_read_back(program: Callable[..., str]) -> None:
    word, text, crc = program("boot").rstrip("\n").split(" ")
    assert word == "@boot"
    assert int(crc, 16) == binascii.crc32(text.encode())
    assert len(crc) == 8
    facts = json.loads(text)
    assert facts["v"] == 1
    assert facts["cntvct"] == {"init": 8000000, "ready": 9000000}
    assert facts["st_us"] == {"init": None, "ready": None}
    assert facts["root_sectors"] == 4242
    assert facts["mcp"] == {"abi": 1, "features": 0}


@pytest.mark.image
@pytest.mark.parametrize("size", [0, 1, 503, 504, 505, 1537])
def test_report_is_read_back(program: Callable[..., str], size: int) -> None:
    text = ("0123456789abcdef" * 97)[:size]
    stream = b""
    for line in program("part", text).splitlines():
        covered, _, crc = line.removeprefix("@part ").rpartition(" ")
        assert int(crc, 16) == binascii.crc32(covered.encode())
        seq, nonce, offset, total, data = covered.split(" ")
        assert (seq, nonce, int(offset), int(total)) == ("1", "n0nce", len(stream), size + 8)
        stream += base64.b64decode(data, validate=True)
    assert stream == text.encode() + b"%08x" % binascii.crc32(text.encode())


def test_hints_are_those_of_the_plugin() -> None:
    """The marks that PID 1 executes are those that the plug-in looks for, and the encoding is A64's HINT."""
    counters = (PROJECT / "init/counters.h").read_text()
    plugin = (PROJECT / "boards/plugin/protopi_count.c").read_text()
    for mark, number in (("INIT", "0x6d"), ("READY", "0x6e")):
        assert f'#define MARK_{mark}() __asm__ volatile("hint #{number}"' in counters
        assert f"HINT({number})" in plugin
    # As the assembler encodes them.
    assert 0xD503201F | 0x6D << 5 == 0xD5032DBF
    assert 0xD503201F | 0x6E << 5 == 0xD5032DDF
