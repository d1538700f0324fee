# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

import pytest

from protopi.boot import model
from protopi.errors import UserError

PROJECT = Path(__file__).resolve().parent.parent
COST = model.load(PROJECT / "boards" / "pi4" / "cost.yaml")


def test_the_constants_are_those_of_the_issue_and_each_has_a_source() -> None:
    assert COST.instructions_per_second == 1.0e9
    assert COST.card_bytes_per_second == 10.0e6
    assert COST.card_init_seconds == 0.110
    assert COST.console_seconds_per_character == 86.8e-6
    assert set(COST.sources) == set(model.NAMES)


def test_the_sum_is_the_sum_of_its_terms() -> None:
    made = model.predict(COST, virtual_ns=150_000_000, instructions=100_000_000, sd_bytes=5_000_000, console_bytes=100)
    seconds = {term.name: term.seconds for term in made.terms}
    assert seconds == pytest.approx(
        {"instructions": 0.1, "waits": 0.05, "card_init": 0.11, "card_reads": 0.5, "console": 0.00868}
    )
    assert made.seconds == pytest.approx(0.76868)
    assert all(term.basis for term in made.terms)


def test_without_a_count_the_virtual_time_stands_for_both() -> None:
    made = model.predict(COST, virtual_ns=150_000_000, instructions=None, sd_bytes=0, console_bytes=0)
    assert made.terms[0].name == "virtual_time"
    assert "not counted" in made.terms[0].basis
    assert made.seconds == pytest.approx(0.26)


@pytest.mark.parametrize("wrong", ["value: 0\n  source: x", "value: 1", "source: x", "value: -1\n  source: x"])
def test_a_constant_without_value_or_source_is_refused(wrong: str, tmp_path: Path) -> None:
    text = "".join(f"{name}:\n  value: 1\n  source: x\n" for name in model.NAMES[1:])
    (tmp_path / "cost.yaml").write_text(f"{model.NAMES[0]}:\n  {wrong}\n{text}")
    with pytest.raises(UserError, match=model.NAMES[0]):
        model.load(tmp_path / "cost.yaml")
