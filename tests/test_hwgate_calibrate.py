# SPDX-License-Identifier: MIT
"""Calibration finds the constants that boots were made with, says how sure it is, and takes no stand-in for a board."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from protopi.boot import model
from protopi.commands import board_calibrate
from protopi.errors import UserError
from protopi.hwgate import calibrate
from protopi.hwgate.calibrate import Boots, boots_of, fit
from protopi.project import Project
from protopi.ui import Ui

PROJECT = Project.here()
COST = model.load(PROJECT.root / "boards" / "pi4" / "cost.yaml")
#: What the made-up board is like: instructions/s, bytes/s, seconds of card initialisation.
RATE, CARD, INIT = 0.8e9, 21e6, 0.093


def board(
    name: str, instructions: int, card_bytes: int, *, seed: int = 1, boots: int = 20, where: str = "board"
) -> Boots:
    dice = random.Random(seed)
    rows = []
    for _ in range(boots):
        init = INIT + dice.gauss(0, 0.004)
        time = instructions / RATE + 0.012 + init + card_bytes / CARD + 40 * 86.8e-6 + dice.gauss(0, 0.01)
        rows.append((time, init, 40))
    return Boots(name, where, "desk", "2026-11-22T15:00:00Z", tuple(rows), instructions, 0.012, card_bytes)


LEAN, HEAVY = board("pi4", 100_000_000, 1_000_000), board("heavy", 130_000_000, 12_000_000, seed=2)


def constants(made: calibrate.Fit) -> dict[str, calibrate.Constant]:
    return {constant.name: constant for constant in made.constants}


def test_two_images_tell_the_processor_from_the_card() -> None:
    found = constants(fit([LEAN, HEAVY], COST))
    assert found["instructions_per_second"].value == pytest.approx(RATE, rel=0.15)
    assert found["card_bytes_per_second"].value == pytest.approx(CARD, rel=0.1)
    assert found["card_init_seconds"].value == pytest.approx(INIT, abs=0.004)
    assert found["console_seconds_per_character"].interval is None


def test_the_truth_lies_in_the_interval_about_as_often_as_stated() -> None:
    held = 0
    for seed in range(12):
        sets = [
            board("pi4", 100_000_000, 1_000_000, seed=2 * seed + 5),
            board("heavy", 130_000_000, 12_000_000, seed=2 * seed + 6),
        ]
        interval = constants(fit(sets, COST))["instructions_per_second"].interval
        assert interval is not None
        held += interval[0] <= RATE <= interval[1]
    assert held >= 9, "95 % of the intervals should hold it"


def test_one_image_fits_the_processor_and_holds_the_card_and_says_so() -> None:
    made = fit([LEAN], COST)
    found = constants(made)
    assert found["card_bytes_per_second"].interval is None
    assert found["card_bytes_per_second"].value == COST.card_bytes_per_second
    assert found["card_bytes_per_second"].source.startswith("Held, not fitted.")
    ((_, measured, before, now),) = made.residuals
    assert now == pytest.approx(measured, abs=0.005)
    assert abs(now - measured) < abs(before - measured)


def test_two_images_that_are_alike_are_no_better_than_one() -> None:
    other = board("alike", 110_000_000, 1_150_000, seed=3)
    assert constants(fit([LEAN, other], COST))["card_bytes_per_second"].interval is None


def test_the_same_boots_give_the_same_constants() -> None:
    assert fit([LEAN, HEAVY], COST) == fit([LEAN, HEAVY], COST)


def test_more_boots_make_it_surer() -> None:
    few = constants(fit([board("pi4", 100_000_000, 1_000_000, boots=6)], COST))["instructions_per_second"].interval
    many = constants(fit([board("pi4", 100_000_000, 1_000_000, boots=100)], COST))["instructions_per_second"].interval
    assert few is not None
    assert many is not None
    assert many[1] - many[0] < 0.6 * (few[1] - few[0])


def test_a_stand_in_is_refused_unless_it_is_asked_for_and_then_named() -> None:
    standin = board("pi4", 100_000_000, 1_000_000, where="stand-in: QEMU pi4")
    with pytest.raises(UserError, match="say nothing about a Pi 4"):
        fit([standin], COST)
    with pytest.raises(UserError, match="cannot be mixed"):
        fit([standin, LEAN], COST, stand_in=True)
    text = calibrate.to_yaml(fit([standin], COST, stand_in=True))
    assert "OF A STAND-IN: QEMU PI4: these are no constants of a Pi 4" in text
    assert "NOT a Pi 4" in " ".join(text.split())
    assert "OF A STAND-IN" not in calibrate.to_yaml(fit([LEAN], COST))


def test_boots_that_contradict_the_model_are_refused() -> None:
    quick = Boots("pi4", "board", "desk", "2026", tuple([(0.05, 0.09, 0)] * 10), 100_000_000, 0.012, 1_000_000)
    with pytest.raises(UserError, match="cannot be told from zero"):
        fit([quick], COST)
    with pytest.raises(UserError, match="no run"):
        fit([], COST)


def test_the_proposal_is_a_file_that_the_model_reads(tmp_path: Path) -> None:
    made = fit([LEAN, HEAVY], COST)
    (tmp_path / "cost.yaml").write_text(calibrate.to_yaml(made))
    loaded = model.load(tmp_path / "cost.yaml")
    for constant in made.constants:
        assert getattr(loaded, constant.name) == pytest.approx(constant.value, rel=1e-4)
    assert "20 boots" not in loaded.sources["card_init_seconds"]
    assert "40 boots of heavy, pi4 on a board (desk)" in loaded.sources["card_init_seconds"]
    assert "estimated" in loaded.sources["instructions_per_second"]


def run_document(**changes: Any) -> dict[str, Any]:
    attempts = [
        {
            "boot": n,
            "phases": {"entry_to_ready": time},
            "told": {"card_init_seconds": init},
            "console_bytes": console,
        }
        for n, (time, init, console) in enumerate(LEAN.measured, 1)
    ]
    document = {
        "kind": "protopi board gate",
        "verdict": "PASS",
        "started": "2026-11-22T15:00:00Z",
        "measured_on": "board",
        "bench": {"name": "desk"},
        "image": {"name": "pi4"},
        "attempts": attempts,
    }
    return {**document, **changes}


def gate_document(**changes: Any) -> dict[str, Any]:
    boot = {
        "instructions": {"reset_to_ready": 100_000_000},
        "idle_ns": {"reset_to_ready": 12_000_000},
        "sd_bytes_read": 1_000_000,
    }
    return {"image": "pi4", "boots": [boot], **changes}


def test_documents_become_boots() -> None:
    assert boots_of(run_document(), gate_document()) == LEAN


@pytest.mark.parametrize(
    ("run", "counts", "message"),
    [
        (run_document(kind="x"), gate_document(), "no document of `board gate`"),
        ({}, gate_document(), "no document of `board gate`"),
        (run_document(verdict="INVALID"), gate_document(), "INVALID proves nothing"),
        (run_document(verdict="INFRA"), gate_document(), "INFRA proves nothing"),
        (run_document(attempts=run_document()["attempts"][:4]), gate_document(), "4 boots with a time"),
        (run_document(), {}, "no document of `gate`"),
        (run_document(), gate_document(boots=[{"instructions": None}]), "no document of `gate`"),
        (run_document(), gate_document(image="virt"), "measured was pi4, counted virt"),
    ],
)
def test_documents_that_fit_nothing_are_refused(run: dict[str, Any], counts: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        boots_of(run, counts)


def parsed(*words: str) -> Any:
    import argparse

    parser = argparse.ArgumentParser()
    board_calibrate.setup(parser)
    return parser.parse_args(words)


def test_the_command_prints_a_proposal_and_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.json").write_text(json.dumps(run_document()))
    (tmp_path / "counts.json").write_text(json.dumps(gate_document()))
    before = (PROJECT.root / "boards" / "pi4" / "cost.yaml").read_bytes()
    words = ("--run", str(tmp_path / "run.json"), "--counts", str(tmp_path / "counts.json"))
    assert board_calibrate.run(parsed(*words), PROJECT, Ui()) == 0
    said = capsys.readouterr()
    (tmp_path / "cost.yaml").write_text(said.out)
    assert model.load(tmp_path / "cost.yaml").instructions_per_second == pytest.approx(1.1e9, rel=0.3)
    assert "held: these boots do not tell it" in said.err
    assert (PROJECT.root / "boards" / "pi4" / "cost.yaml").read_bytes() == before


def test_the_command_says_which_file_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "counts.json").write_text(json.dumps(gate_document()))
    (tmp_path / "run.json").write_text(json.dumps(run_document(verdict="INFRA")))
    counts = str(tmp_path / "counts.json")
    for name, message in (("bad.json", "is no JSON"), ("none.json", "cannot be read"), ("run.json", "proves nothing")):
        with pytest.raises(UserError, match=message) as caught:
            board_calibrate.run(parsed("--run", str(tmp_path / name), "--counts", counts), PROJECT, Ui())
        assert name in str(caught.value)
    with pytest.raises(UserError, match="in pairs"):
        board_calibrate.run(parsed("--run", "a", "--run", "b", "--counts", counts), PROJECT, Ui())
