# SPDX-License-Identifier: MIT
"""The debug kernel boots to ready, and neither KASAN, lockdep nor kmemleak has anything to say. Full runs only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protopi.boot import judge
from protopi.boot.qemu import Machine, Options

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import BuiltImage

pytestmark = [pytest.mark.image, pytest.mark.full, pytest.mark.timeout(5400)]
#: The debug kernel executes many times more instructions, and QEMU is no fast machine.
BOOT = 900.0


def test_the_debug_kernel_boots_without_a_complaint(built: Callable[[str], BuiltImage]) -> None:
    image = built("virt-debug")
    with Machine(image.path, image.board, image.tools, Options(realtime=True)) as machine:
        marker = machine.console.wait_marker(BOOT)
        assert marker is not None, machine.console.tail()
        records = judge.parse_kmsg(machine.console.get("kmsg", seconds=300))
        assert judge.kernel_log(records, judge.load_allowed(image.board.allow)) == []
        said = "\n".join(record.text for record in records)
        assert "KernelAddressSanitizer initialized" in said  # the control: this is the debug kernel
        for word in ("BUG: KASAN", "possible circular locking", "suspicious RCU usage", "new suspected memory leaks"):
            assert word not in said
