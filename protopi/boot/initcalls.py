# SPDX-License-Identifier: MIT
"""What single initcalls cost, from a boot with `initcall_debug`: an extra boot, since the messages cost time too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from protopi.boot import judge, record
from protopi.boot.qemu import Options
from protopi.errors import InfraError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from protopi.boot.board import Board
    from protopi.boot.tools import Tools

#: "initcall virtio_init+0x0/0x40 returned 0 after 12 usecs" (init/main.c).
_DONE = re.compile(r"initcall (\w+)\+\S+ (?:\[\w+\] )?returned -?\d+ after (\d+) usecs")


def parse(records: Collection[judge.Record]) -> dict[str, int]:
    """Initcall -> virtual microseconds, of every initcall that the log names."""
    found: dict[str, int] = {}
    for entry in records:
        if match := _DONE.search(entry.text):
            found[match[1]] = found.get(match[1], 0) + int(match[2])
    return found


def carried(image: Path, board: Board, tools: Tools) -> dict[str, int]:
    """Cost (virtual us) of the initcalls in `board.carried`. Raises InfraError when the boot named one of them not."""
    options = Options(append=("initcall_debug", "log_buf_len=1M"))
    facts = record.boot_once(image, board, tools, options)
    if facts.kmsg is None:
        raise InfraError("the boot with initcall_debug gave no kernel log")
    found = parse(judge.parse_kmsg(facts.kmsg))
    if missing := [name for name in board.carried if name not in found]:
        raise InfraError(f"the kernel has no initcall {', '.join(missing)}", hint="correct `carried` of the board")
    return {name: found[name] for name in board.carried}
