# SPDX-License-Identifier: MIT
"""A module that was to have type information and got none is an error, although kbuild takes it for none."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from protopi.errors import StepError
from protopi.step import Context
from recipes.external_module import build_module

BUILT = "  CC [M]  mcp_bpf.o\n  LD [M]  mcp_bpf.ko\n"
#: What scripts/Makefile.modfinal says of each module when there is no vmlinux.
SKIPPED = BUILT + "Skipping BTF generation for mcp_bpf.ko due to unavailability of vmlinux\n"


class FakeContext:
    """As much of a step's context as a module's build needs: make ends with 0, and says what it is told to."""

    def __init__(self, said: str) -> None:
        self.jobs = 1
        self.said = said
        self.ran: list[list[str]] = []

    def run(self, argv: list[str | Path], *, capture: bool = False) -> str:
        assert capture
        self.ran.append([str(word) for word in argv])
        return self.said


def build(said: str, *, btf: bool) -> tuple[Path, list[str]]:
    fake = FakeContext(said)
    module = build_module(cast(Context, fake), Path("/devel"), Path("/source"), "mcp_bpf", btf=btf)
    return module, fake.ran[0]


def test_a_module_whose_btf_kbuild_left_out_is_refused() -> None:
    with pytest.raises(StepError, match="lacks what makes BTF: vmlinux or resolve_btfids"):
        build(SKIPPED, btf=True)


def test_a_module_is_where_kbuild_puts_it() -> None:
    module, _ = build(BUILT, btf=True)
    assert module == Path("/source/mcp_bpf.ko")


def test_standard_error_is_read_and_btf_is_asked_for_or_not() -> None:
    """The words come on standard error: without it nothing would be found."""
    _, words = build(BUILT, btf=True)
    assert words[:2] == ["sh", "-c"]
    assert words[2].endswith("2>&1")
    assert "CONFIG_DEBUG_INFO_BTF_MODULES=" not in words
    _, words = build(BUILT, btf=False)
    assert "CONFIG_DEBUG_INFO_BTF_MODULES=" in words
