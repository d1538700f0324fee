# SPDX-License-Identifier: MIT
"""Fragments: parsing, merging, and saying why a line did not survive. Tiny Kconfig trees; no kernel needed."""

from __future__ import annotations

import struct

import pytest

from protopi.errors import StepError
from recipes.kconfig import Setting, check, merge, parse_config, parse_fragment, render
from recipes.kconfig_tree import Tree, evaluate, explain, parse, split_and
from recipes.kernel import builtin_compatibles, check_image

FILES = {
    "Kconfig": """
mainmenu "test"
config NET
\tbool "Networking"
\thelp
\t  This help says "depends on NOTHING", which is no dependency.

\t  config FAKE
if NET
source "net/$(ARCH).Kconfig"
endif
menu "Drivers"
\tdepends on HAS_IO && !TINY
config HAS_BUS
\tbool
config SENSOR
\ttristate "A sensor" if EXPERT
\tdepends on HAS_BUS || \\
\t\tMOCK_BUS
\tselect REGMAP if NET
endmenu
config REGMAP
\ttristate
choice
\tprompt "Preemption"
config PREEMPT_NONE
\tbool "None"
config PREEMPT_FULL
\tbool "Full"
endchoice
config SHIFT
\tint "A number"
""",
    "net/arm64.Kconfig": """
config WIFI
\ttristate "Wi-Fi"
\tdepends on (RADIO && !QUIET)
""",
}


@pytest.fixture
def tree() -> Tree:
    return parse(FILES.get, "Kconfig", {"ARCH": "arm64"})


def settings(text: str, name: str = "a.config") -> list[Setting]:
    found, problems = parse_fragment(name, text)
    assert not problems
    return found


def test_a_fragment_is_read_with_places() -> None:
    found = settings('# why\n\nCONFIG_NET=y\n# CONFIG_DEVMEM is not set\nCONFIG_LSM="landlock"\nCONFIG_X=n\n')
    assert [(s.symbol, s.value, s.where) for s in found] == [
        ("NET", "y", "a.config:3"),
        ("DEVMEM", "n", "a.config:4"),
        ("LSM", '"landlock"', "a.config:5"),
        ("X", "n", "a.config:6"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("CONFIG_NET=yes", "no valid value"),
        ("CONFIG_NET=y # comment", "no valid value"),
        ("CONFIG_LSM=landlock", "no valid value"),
        ("NET=y", "not a kernel setting"),
        ("CONFIG_NET = y", "not a kernel setting"),
    ],
)
def test_a_bad_line_is_named(line: str, message: str) -> None:
    _, (problem,) = parse_fragment("mine.config", f"\n{line}\n")
    assert problem.where == "mine.config:2"
    assert message in problem.message
    assert problem.hint


def test_all_bad_lines_are_reported_at_once() -> None:
    _, problems = parse_fragment("a", "CONFIG_A=q\nhello\nCONFIG_B=y\nCONFIG_B=m\n")
    assert [p.where for p in problems] == ["a:1", "a:2", "a:4"]


def test_the_last_fragment_wins_and_is_the_one_checked(tree: Tree) -> None:
    merged = merge([settings("CONFIG_NET=n", "base"), settings("CONFIG_NET=y", "user")])
    assert merged["NET"].fragment == "user"
    assert check(merged, {"NET": "y"}, tree) == []
    (problem,) = check(merged, {}, tree)
    assert problem.where == "user:1"


def test_what_is_rendered_reads_back_as_it_was() -> None:
    merged = merge([settings('CONFIG_B=m\nCONFIG_A=n\nCONFIG_C="x y"\nCONFIG_D=0x10\n')])
    text = render(merged)
    assert text.splitlines()[0] == "# CONFIG_A is not set"
    assert parse_config(text) == {"B": "m", "C": '"x y"', "D": "0x10"}
    assert render(merge([settings(text)])) == text


def test_lines_that_fell_with_another_are_counted_not_listed(tree: Tree) -> None:
    merged = merge([settings("CONFIG_WIFI=m\nCONFIG_NET=y", "base"), settings("CONFIG_NET=m", "mine")])
    (problem,) = check(merged, {"RADIO": "y"}, tree)
    assert problem.where == "mine:1"
    assert "NET is a bool" in problem.hint
    assert "lines that fell with it: 1" in problem.hint


def test_numbers_are_compared_by_value(tree: Tree) -> None:
    assert check(merge([settings("CONFIG_SHIFT=0x10")]), {"SHIFT": "16"}, tree) == []


def test_a_lost_line_names_fragment_line_result_and_dependency(tree: Tree) -> None:
    merged = merge([settings("# sensor\nCONFIG_SENSOR=m\n", "mine.config")])
    (problem,) = check(merged, {"EXPERT": "y", "HAS_IO": "y"}, tree)
    assert problem.where == "mine.config:2"
    assert "`CONFIG_SENSOR=m` did not survive" in problem.message
    assert "# CONFIG_SENSOR is not set" in problem.message
    assert "depends on `HAS_BUS || MOCK_BUS`" in problem.hint
    assert "HAS_BUS is n, MOCK_BUS is n" in problem.hint
    assert "EXPERT" not in problem.hint


@pytest.mark.parametrize(
    ("symbol", "asked", "config", "reason"),
    [
        ("WIFI", "m", {"NET": "y"}, "depends on `RADIO`: RADIO is n"),
        ("WIFI", "m", {"NET": "y", "RADIO": "y", "QUIET": "y"}, "depends on `!QUIET`: QUIET is y"),
        ("WIFI", "m", {"RADIO": "y"}, "depends on `NET`: NET is n"),
        ("WIFI", "y", {"NET": "y", "RADIO": "m", "WIFI": "m"}, "depends on `RADIO`: RADIO is m"),
        ("SENSOR", "m", {"HAS_IO": "y", "HAS_BUS": "y"}, "depends on `EXPERT`: EXPERT is n"),
        ("SENSOR", "m", {"HAS_BUS": "y", "EXPERT": "y"}, "depends on `HAS_IO`: HAS_IO is n"),
        ("NET", "m", {"NET": "y"}, "NET is a bool"),
        ("REGMAP", "n", {"REGMAP": "m", "SENSOR": "m", "NET": "y"}, "selected by SENSOR=m"),
        ("REGMAP", "y", {}, "has no prompt, so no fragment can set it: only selected, by SENSOR (if NET)"),
        ("HAS_BUS", "y", {}, "has no prompt"),
        ("PREEMPT_FULL", "y", {"PREEMPT_NONE": "y"}, "one of a choice, of which PREEMPT_NONE is taken"),
        ("SENSOT", "m", {}, "did you mean SENSOR?"),
        ("FAKE", "y", {}, "Kconfig has no symbol FAKE"),
    ],
)
def test_the_reason_is_what_kconfig_says(
    tree: Tree, symbol: str, asked: str, config: dict[str, str], reason: str
) -> None:
    assert reason in "; ".join(explain(tree, symbol, asked, config))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("A", 2),
        ("B", 1),
        ("!B", 1),
        ("A && B", 1),
        ("C || B", 1),
        ("!(A && C) && A", 2),
        ("A = y", 2),
        ("A != y", 0),
        ('TEXT = "on"', 2),
        ("N >= 12", 2),
        ("N < 0xc", 0),
        ("$(cc-option,-fno-x)", 2),
        ("m && MODULES", 0),
    ],
)
def test_dependencies_have_three_values(expression: str, value: int) -> None:
    assert evaluate(expression, {"A": "y", "B": "m", "TEXT": '"on"', "N": "12"}) == value


def test_an_expression_is_split_at_its_outermost_and() -> None:
    assert split_and("(A && (B || C && D)) && !E") == ["A", "B || C && D", "!E"]
    assert split_and("A || B && C") == ["A || B && C"]


def image(size: int, claimed: int, magic: bytes = b"ARM\x64") -> bytes:
    header = bytearray(64)
    struct.pack_into("<Q", header, 16, claimed)
    header[56:60] = magic
    return bytes(header) + bytes(size - 64)


def test_an_arm64_image_is_known_by_its_header() -> None:
    assert check_image(image(4096, 8192)) == 8192
    for bad in (image(4096, 8192, b"MZ\0\0"), b"\x1f\x8b" + bytes(100), b"", image(4096, 100)):
        with pytest.raises(StepError):
            check_image(bad)


def test_built_in_compatible_strings_are_found_by_the_form_of_their_table() -> None:
    def device_id(name: bytes) -> bytes:
        return bytes(64) + name.ljust(128, b"\0") + b"\x80\x12\xff\xff\x00\x00\x80\xff"

    table = device_id(b"brcm,bcm2835-mbox") + device_id(b"arm,pl011") + bytes(200)
    noise = b"just,text\0more text" + bytes(300)
    assert builtin_compatibles(noise + table) == ["arm,pl011", "brcm,bcm2835-mbox"]
