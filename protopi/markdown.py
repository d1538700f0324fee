# SPDX-License-Identifier: MIT
"""Pieces of Markdown (GitHub's and GitLab's), for reports that a CI shows.

What comes from a board's console, or from a file's name, is shown as it is and never becomes markup.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

#: Everything that can begin markup inside a line or a cell of a table.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~&@])")


def text(value: str) -> str:
    """A line of plain text."""
    return _MARKUP.sub(r"\\\1", _printable(" ".join(value.split())))


def points(lines: Sequence[str]) -> list[str]:
    """A list of plain lines, with an empty one before it; nothing where there are none."""
    return ["", *(f"- {text(line)}" for line in lines)] if lines else []


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, words: Collection[str]) -> list[str]:
    """A table. The columns named in `words` hold words, and are set to the left; the others hold numbers."""
    marks = ["---" if heading in words else "---:" for heading in headings]
    body = [[text(cell) for cell in row] for row in rows]
    return [_row([text(heading) for heading in headings]), _row(marks), *(_row(cells) for cells in body)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def verbatim(lines: Sequence[str]) -> list[str]:
    """A block that is shown as it is; no line of it can end the block."""
    body = [_printable(line) for line in lines]
    longest = max((len(run) for line in body for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence + "text", *body, fence]


def _printable(value: str) -> str:
    """Without control characters: a console's colours and cursor moves mean nothing here."""
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in value)
