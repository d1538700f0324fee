# SPDX-License-Identifier: MIT
"""Line coverage of a module from KCOV's program counters.

gcc's -fsanitize-coverage=trace-pc puts a call at the head of each basic block; KCOV records where it returns to. What
lies between one such call and the next of its function is taken for the block, and its lines are those that the
debug information gives for its instructions, inlined functions too. A line is coverable when a block has it, covered
when a block that was entered has it. Lines without code of their own (declarations, braces, what was optimised away) do
not count, nor do files outside the module's folder.

By hand: `objdump -dlr --no-show-raw-insn mcp.ko > mcp.txt`, then
`python boot-tests/line_coverage.py mcp.txt --pcs FILE... [--uncovered]`.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_SECTION = re.compile(r"^Disassembly of section (\S+):$")
_FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
_LINE = re.compile(r"^(/\S+\.[ch]):(\d+)(?: \(discriminator \d+\))?$")
_INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\t")
_CALL = re.compile(r"^\t\t\t[0-9a-f]+: R_\w+\s+__sanitizer_cov_trace_pc(?:-0x4)?$")
#: What belongs to the module: mcp/kernel/mcp_info.c, mcp/net/mcp_net_rx.c.
_OURS = re.compile(r"/((?:kernel|net)/(?:mcp\w*|compat)\.[ch])$")

Line = tuple[str, int]
#: A section's name, and an offset in it.
Place = tuple[str, int]


@dataclass(slots=True)
class Block:
    """A basic block: of which function, where its call returns to, and the lines of its instructions."""

    function: str
    place: Place
    lines: set[Line] = field(default_factory=set)


def blocks_of(listing: str) -> list[Block]:
    """The basic blocks of a disassembled module. Raises ValueError when it has none: it is not instrumented."""
    blocks: list[Block] = []
    section = function = ""
    line: Line | None = None
    before: set[Line] = set()  # of a function's head, which runs when its first block does
    current: Block | None = None
    called = False
    for text in listing.splitlines():
        if found := _INSTRUCTION.match(text):
            if called:
                current = Block(function, (section, int(found[1], 16)), before)
                blocks.append(current)
                before, called = set(), False
            if line:
                (current.lines if current else before).add(line)
        elif _CALL.match(text):
            called = True
        elif found := _LINE.match(text):
            ours = _OURS.search(found[1])
            line = (ours[1], int(found[2])) if ours else None
        elif found := _FUNCTION.match(text):
            function, current, before, line, called = found[1], None, set(), None, False
        elif found := _SECTION.match(text):
            section = found[1]
    if not blocks:
        raise ValueError("no basic block with a call of KCOV: was it built with KCOV_INSTRUMENT?")
    return blocks


@dataclass(frozen=True, slots=True)
class Coverage:
    """Lines by file, and the functions of which no block was entered."""

    coverable: dict[str, set[int]]
    covered: dict[str, set[int]]
    untouched: list[str]

    @property
    def share(self) -> float:
        """Of all lines, how many are covered: 0 to 1."""
        return sum(map(len, self.covered.values())) / sum(map(len, self.coverable.values()))

    def uncovered(self, name: str) -> list[int]:
        """Lines of a file that are coverable and not covered."""
        return sorted(self.coverable[name] - self.covered[name])


def measure(blocks: Iterable[Block], entered: set[Place]) -> Coverage:
    """What is covered when these places were entered."""
    coverable: dict[str, set[int]] = defaultdict(set)
    covered: dict[str, set[int]] = defaultdict(set)
    touched: dict[str, bool] = {}
    for block in blocks:
        hit = block.place in entered
        touched[block.function] = touched.get(block.function, False) or hit
        for name, line in block.lines:
            coverable[name].add(line)
            if hit:
                covered[name].add(line)
    return Coverage(dict(coverable), covered, sorted(name for name, hit in touched.items() if not hit))


def parse_places(text: str, module: str) -> set[Place]:
    """The places of one module in what kcov_fuzz and kcov_run write: MODULE SECTION OFFSET."""
    words = (line.split() for line in text.splitlines())
    return {(section, int(offset, 16)) for name, section, offset in words if name == module}


def table(coverage: Coverage) -> str:
    """A line for each file, and one for all."""
    lines = []
    for name in sorted(coverage.coverable):
        all_, hit = len(coverage.coverable[name]), len(coverage.covered.get(name, ()))
        lines.append(f"{name:34} {hit:4} of {all_:4}  {100 * hit / all_:5.1f} %")
    all_, hit = (sum(map(len, lines_.values())) for lines_ in (coverage.coverable, coverage.covered))
    return "\n".join([*lines, f"{'all':34} {hit:4} of {all_:4}  {100 * coverage.share:5.1f} %"])


def spans(numbers: list[int]) -> str:
    """Numbers as text: 3-5, 9."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def main() -> None:
    """See the top."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("listing", type=Path, nargs="+")
    parser.add_argument("--pcs", type=Path, nargs="+", required=True)
    parser.add_argument("--uncovered", action="store_true")
    words = parser.parse_args()
    places = "".join(path.read_text() for path in words.pcs)
    for path in words.listing:
        result = measure(blocks_of(path.read_text()), parse_places(places, path.stem))
        print(table(result))
        if words.uncovered:
            for name in sorted(result.coverable):
                if missing := result.uncovered(name):
                    print(f"{name}: {spans(missing)}")
            print("untouched:", *result.untouched)


if __name__ == "__main__":
    main()
