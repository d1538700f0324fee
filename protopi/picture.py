# SPDX-License-Identifier: MIT
"""What a command prints, as an SVG for a page that shows it."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable


def as_svg(title: str, draw: Callable[[Console], None]) -> str:
    """The picture of a terminal 120 columns wide on which `draw` has printed."""
    console = Console(file=io.StringIO(), record=True, width=120, highlight=False)
    draw(console)
    # Without the web fonts that rich names: a picture must not make its readers fetch anything.
    return re.sub(r"@font-face\s*\{.*?\}", "", console.export_svg(title=title), flags=re.DOTALL)
