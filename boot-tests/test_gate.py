# SPDX-License-Identifier: MIT
"""The gate on real images: what it must pass, and a negative control for every way in which a boot can go wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from protopi.boot import firmware, gate, qemu, sizes
from protopi.boot.budget import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import BuiltImage

    Built = Callable[[str], BuiltImage]

pytestmark = pytest.mark.image
BUDGETS = Path(__file__).resolve().parent / "budgets.yaml"


def judged(
    image: BuiltImage, *words: str, boots: int = 1, enlarged: bool = False, seconds: float = 120
) -> gate.GateResult:
    """The gate's verdict on an image, with more words on its kernel command line."""
    return gate.gate(
        image.path,
        image.board,
        image.tools,
        image.plugin,
        name=image.name,
        boots=boots,
        enlarged=enlarged,
        budget_file=BUDGETS,
        append=words,
        seconds=seconds,
    )


def test_the_product_image_passes_and_counts_to_the_digit(built: Built) -> None:
    result = judged(built("pi4"), boots=3, enlarged=True)
    assert result.passed, "\n".join((*result.reasons, *result.tail))
    assert len(result.boots) == 3
    for boot in result.boots:
        assert boot == result.boots[0]
        assert boot.instructions is not None
        assert boot.idle_ns is not None
        assert all(idle >= 0 for idle in boot.idle_ns.values())
    limits = load(BUDGETS, "pi4", "pi4").limits
    assert result.boots[0].virtual_ns["reset_to_ready"] <= limits["reset_to_ready_ns"]


def test_virt_passes_and_its_instructions_lie_close(built: Built) -> None:
    result = judged(built("virt"), boots=3)
    assert result.passed, "\n".join((*result.reasons, *result.tail))


def test_the_hooks_alone_change_nothing(built: Built) -> None:
    result = judged(built("pi4-test"))
    assert result.passed, "\n".join((*result.reasons, *result.tail))


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("protopi.test=delay:100", "reset_to_ready_ns is"),
        ("protopi.test=panic", "panicked"),
        ("protopi.test=badcrc", "bad CRC"),
        ("protopi.test=noboot", "no @boot marker"),
    ],
)
def test_each_deliberate_fault_fails_by_its_reason(word: str, reason: str, built: Built) -> None:
    result = judged(built("pi4-test"), word, seconds=30)
    assert not result.passed
    assert any(reason in found for found in result.reasons), result.reasons


def test_a_kernel_without_its_init_fails(built: Built) -> None:
    result = judged(built("pi4"), "init=/nonexistent")
    assert any("panicked" in found for found in result.reasons), result.reasons
    assert result.tail


def test_a_failing_service_and_an_error_line_of_the_kernel_are_named(built: Built) -> None:
    result = judged(built("pi4-failing"))
    assert any("service broken" in found for found in result.reasons), result.reasons
    assert any("error line (level 3)" in found and "a deliberate error" in found for found in result.reasons)


def test_a_damaged_card_is_refused_by_the_firmware(built: Built, tmp_path: Path) -> None:
    image = built("pi4")
    copy = qemu.enlarge(image.path, tmp_path / "card.img")
    with firmware.Card(copy) as card:
        offset = card.partition(2).offset
    with copy.open("r+b") as raw:
        raw.seek(offset)
        raw.write(bytes(512))
    with pytest.raises(firmware.FirmwareRefusal):
        sizes.sizes_of(copy, image.board)
