# SPDX-License-Identifier: MIT
"""What a call over /dev/mcp costs: `./build.py bench` in the test image, and each aim of the module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protopi.benchmark import judge, run_bench

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import BuiltImage

    Built = Callable[[str], BuiltImage]

pytestmark = [pytest.mark.image, pytest.mark.full]


def test_the_figures_are_what_they_have_to_be(built: Built) -> None:
    image = built("virt-test")
    result = run_bench(image.path, image.board, image.tools)
    paths = {row["path"] for row in result["rows"]}
    assert paths == {"pipe", "unix", "tcp", "broker", "mcp-ioctl", "mcp-uring", "mcp-rw"}
    # An empty row would be below every limit: nothing on this machine costs less than entering the kernel once.
    assert all(row["instructions"] > 500 for row in result["rows"])
    assert judge(result) == []
