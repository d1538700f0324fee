# SPDX-License-Identifier: MIT
"""The pure parts of PID 1 and its companions, compiled on the host."""

from __future__ import annotations

import base64
import binascii
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
SOURCES = ("base64.c", "boot_line.c", "crc32.c", "data.c", "growdata_table.c", "report_frame.c", "util.c")
FLAGS = ("-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-g")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def links(compiler: str, folder: Path, *flags: str) -> bool:
    """Whether the compiler makes programs with these flags (the sanitizers' libraries may be missing)."""
    probe = folder / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    command: list[Path | str] = [compiler, *flags, "-o", folder / "probe", probe]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test program. Without a compiler: skipped on a laptop, failed in CI."""
    compiler = shutil.which("cc")
    folder = tmp_path_factory.mktemp("init")
    if compiler is None or not links(compiler, folder):
        if os.environ.get("CI"):
            pytest.fail("CI has no C compiler")
        pytest.skip("no C compiler")
    assert compiler is not None
    target = folder / "test_init"
    sources = [PROJECT / "init/test/test_init.c", *(PROJECT / "init" / name for name in SOURCES)]
    sanitize = SANITIZE if links(compiler, folder, *SANITIZE) else ()
    includes = [f"-I{PROJECT / 'init'}", "-isystem", f"{PROJECT / 'mcp/include/uapi'}"]
    subprocess.run([compiler, *FLAGS, *sanitize, *includes, "-o", target, *sources], check=True)
    return target


def output(*command: Path | str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_c_units(program: Path) -> None:
    done = subprocess.run([program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == f"1..{len(lines) - 1}"


def test_boot_line_is_read_back(program: Path) -> None:
    word, text, crc = output(program, "boot").rstrip("\n").split(" ")
    assert word == "@boot"
    assert int(crc, 16) == binascii.crc32(text.encode())
    assert len(crc) == 8
    facts = json.loads(text)
    assert facts["v"] == 1
    assert facts["cntvct"] == {"init": 8000000, "ready": 9000000}
    assert facts["st_us"] == {"init": None, "ready": None}
    assert facts["root_sectors"] == 4242
    assert facts["mcp"] == {"abi": 1, "features": 0}


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1537])
def test_report_is_read_back(program: Path, size: int) -> None:
    text = ("0123456789abcdef" * 97)[:size]
    parts = []
    lines = output(program, "part", text).splitlines()
    for index, line in enumerate(lines):
        covered, _, crc = line.removeprefix("@part ").rpartition(" ")
        assert int(crc, 16) == binascii.crc32(covered.encode())
        seq, nonce, part, count, data = covered.split(" ")
        assert (seq, nonce, int(part), int(count)) == ("1", "n0nce", index, len(lines))
        parts.append(b"" if data == "-" else base64.b64decode(data, validate=True))
    assert b"".join(parts).decode() == text


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
