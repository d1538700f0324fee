# SPDX-License-Identifier: MIT
"""libmcp without a kernel: SHA-256, JSON, RFC 8785 and names, under the sanitizers.

Numbers are the hard part of RFC 8785. They are compared with those of Python, whose repr() has the fewest digits that
read back too: an implementation of its own (David Gay's) and not the C library's.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import InTools

PROJECT = Path(__file__).parent.parent
LIBRARY = "mcp/libmcp"
#: What needs neither the kernel nor liburing.
PURE = ("json.c", "number.c", "buffer.c", "canonical.c", "names.c", "message.c", "sha256.c")
FLAGS = ("-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-g")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
Program = Callable[..., "tuple[int, str]"]

pytestmark = pytest.mark.image


def compile_in(folder: Path, in_tools: InTools, *, number: str = "") -> Program:
    """The test program, made with the sanitizers; `number` is another number.c."""
    root = f"/host/project/{LIBRARY}"
    sources = [f"{root}/{name}" for name in PURE if not (number and name == "number.c")]
    sources += [f"{root}/tests/libmcp_pure_test.c", f"{root}/tests/tap.c", *([number] if number else [])]
    includes = [f"-I{root}", "-isystem", "/host/project/mcp/include/uapi"]
    in_tools(["gcc", *FLAGS, *SANITIZE, *includes, "-o", "pure", *sources], folder)

    def run(*words: str, data: bytes = b"") -> tuple[int, str]:
        (folder / "input").write_bytes(data)
        done = in_tools(["sh", "-c", 'exec ./pure "$@" < input', "pure", *words], folder, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, in_tools: InTools) -> Program:
    return compile_in(tmp_path_factory.mktemp("libmcp"), in_tools)


def test_its_own_checks_pass(program: Program) -> None:
    status, said = program()
    assert "not ok" not in said, said
    plan = re.search(r"^1\.\.(\d+)$", said, re.MULTILINE)
    assert plan is not None, said
    assert len(re.findall(r"^ok \d+", said, re.MULTILINE)) == int(plan[1]) > 220
    assert status == 0


def ecmascript(x: float) -> str:
    """Number::toString of ECMA-262, from the digits of Python's repr()."""
    if x == 0:
        return "0"
    mantissa, _, exponent = repr(abs(x)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    n = len(whole) + int(exponent or 0)
    digits = whole + fraction
    n -= len(digits) - len(digits.lstrip("0"))
    digits = digits.strip("0")
    k, sign = len(digits), "-" if x < 0 else ""
    if k <= n <= 21:
        return sign + digits + "0" * (n - k)
    if 0 < n <= 21:
        return f"{sign}{digits[:n]}.{digits[n:]}"
    if -6 < n <= 0:
        return f"{sign}0.{'0' * -n}{digits}"
    point = f".{digits[1:]}" if k > 1 else ""
    return f"{sign}{digits[0]}{point}e{'+' if n > 0 else '-'}{abs(n - 1)}"


def doubles(count: int) -> list[float]:
    """Each power of two with its neighbours, each power of ten, and random ones."""
    powers = [math.ldexp(1.0, exponent) for exponent in range(-1074, 1024)]
    numbers = powers + [math.nextafter(x, 0) for x in powers] + [math.nextafter(x, math.inf) for x in powers]
    numbers += [float(f"1e{exponent}") for exponent in range(-323, 309)]
    chance = random.Random(8785)
    while len(numbers) < count:
        numbers += struct.unpack("<d", chance.randbytes(8))
    return [x for x in numbers if math.isfinite(x)]


def wrong_numbers(program: Program) -> list[tuple[float, str]]:
    numbers = doubles(12000)
    status, said = program("numbers", data="".join(f"{x:.17e}\n" for x in numbers).encode())
    assert status == 0, said[-2000:]
    lines = said.splitlines()
    assert len(lines) == len(numbers) > 11000
    return [(x, line) for x, line in zip(numbers, lines, strict=True) if line != ecmascript(x)]


def test_numbers_are_those_of_ecmascript(program: Program) -> None:
    assert wrong_numbers(program) == []


def test_a_number_that_is_only_nearly_the_shortest_is_found(tmp_path: Path, in_tools: InTools) -> None:
    """The control: without a look at the next decimal above, 2^-44 and others get a digit too many."""
    text = (PROJECT / LIBRARY / "number.c").read_text()
    assert text.count("decimal.digits++;") == 1
    (tmp_path / "number.c").write_text(text.replace("decimal.digits++;", ";"))
    wrong = wrong_numbers(compile_in(tmp_path, in_tools, number="number.c"))
    assert (2.0**-44, "5.6843418860808015e-14") in wrong


def test_the_digest_of_a_definition_is_that_of_its_canonical_form(program: Program) -> None:
    """Against Python's own JSON, for texts that both write alike: ASCII names, integers."""
    tool = {"name": "x", "b": [1, {"z": None, "a": True}], "annotations": {"readOnlyHint": True}, "é": "\u2028\t"}
    shuffled = json.dumps(tool, indent=None, separators=(" , ", " : "))
    canonical = json.dumps(tool, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert program("numbers", data=shuffled.encode() + b"\n") == (0, canonical + "\n")
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    assert program("digest", data=shuffled.encode()) == (0, digest + "\n")


def mutations(count: int) -> list[bytes]:
    """Messages with bytes changed, taken out, doubled: from a seed, so the same each time."""
    seeds = [
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a\\u0062","arguments":{"x":[1,2.5e-3]}}}',
        '{"jsonrpc":"2.0","id":"é😀","result":{"a":{"b":{"c":[[],{},null,true,false,"\\ud83d\\ude00"]}}}}'.encode(),
        b'[[[[{"a":"\\\\\\"\\/\\b","a\\u0000":1e300,"-0":-0.0}]]]]',
    ]
    chance = random.Random(1)
    made = []
    for _ in range(count):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            at, what = chance.randrange(len(data)), chance.randrange(4)
            if what == 0:
                data[at] = chance.choice(b'"\\{}[],:0eu\x00\x80\xff\xed')
            elif what == 1:
                del data[at : at + chance.randint(1, 4)]
            elif what == 2:
                data[at:at] = data[at : at + chance.randint(1, 20)]
            else:
                data = data[: max(at, 1)]
            if not data:
                break
        made.append(bytes(data))
    return made


def test_no_input_makes_a_sanitizer_speak(tmp_path: Path, in_tools: InTools) -> None:
    """Each in a process of its own; what is JSON must be the same when it is made canonical again."""
    compile_in(tmp_path, in_tools)
    inputs = mutations(400)
    for n, data in enumerate(inputs):
        (tmp_path / f"in-{n}").write_bytes(data)
    script = 'for f in in-*; do ./pure read < "$f" > said 2>&1 || { echo "$f: $?"; cat said; }; done'
    done = in_tools(["sh", "-c", script], tmp_path)
    assert done.stdout == ""
    # Some are JSON still, and most are not: both ways are gone.
    good = sum(is_json(data) for data in inputs)
    assert 5 < good < 300


def is_json(data: bytes) -> bool:
    try:
        json.loads(data.decode())
    except ValueError:
        return False
    return True


def test_the_manual_shows_the_examples_as_they_are() -> None:
    manual = (PROJECT / "docs/libmcp.md").read_text()
    for name in ("server.c", "client.c"):
        source = (PROJECT / LIBRARY / "examples" / name).read_text()
        assert len(source.splitlines()) < 100
        assert f"mcp/libmcp/examples/{name}" in manual
    header = (PROJECT / LIBRARY / "libmcp.h").read_text()
    declared = set(re.findall(r"\b(libmcp_[a-z_]+)\(", header)) - {"libmcp_handler", "libmcp_done"}
    assert len(declared) > 30
    assert {name for name in declared if f"`{name}`" not in manual} == set()
