# SPDX-License-Identifier: MIT
"""The command line: what a user mistypes ends with 2 and a hint, what the host does with 5, a bug of ours with 1."""

from __future__ import annotations

import errno
import os
import types
from pathlib import Path

import pytest

from protopi import cli
from protopi.errors import GateError, InfraError, StepError, UserError


def run(arguments: list[str]) -> int:
    """The exit code, argparse's own exits among them."""
    try:
        return cli.main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["p4"], "did you mean `pi4`"),
        (["gatee", "pi4"], "did you mean `gate`"),
        (["nowhere.yaml"], "there is no image file"),
        (["gate", "pi4", "--boots", "0"], "invalid positive value"),
        (["image", "pi4", "-j", "-3"], "invalid positive value"),
        (["lock", "nonsense"], "add --update"),
        (["gate", "pi4", "--json", "/nowhere/at/all.json"], "cannot be written"),
        (["boot", "pi4", "--ssh", "99999"], "no port"),
        (["plan"], "required: IMAGE"),
        (["gate"], "required: IMAGE"),
    ],
)
def test_a_mistake_ends_with_2_and_says_what_to_do(
    arguments: list[str], said: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PROTOPI_STORE", str(tmp_path / "store"))
    monkeypatch.setattr("protopi.api.Session.build", lambda *_: pytest.fail("nothing may be built"))
    assert run(arguments) == 2
    output = capfd.readouterr().err
    assert said in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("x"), 2),
        (StepError("x"), 3),
        (GateError("x"), 4),
        (InfraError("x"), 5),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/full/disk"), 5),
        (KeyboardInterrupt(), 130),
        (RuntimeError("x"), 1),
        (FileNotFoundError(errno.ENOENT, "x", "ours"), 1),
    ],
    ids=repr,
)
def test_each_kind_of_error_has_its_exit_code(
    error: BaseException, code: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise error

    module = types.SimpleNamespace(SUMMARY="x", setup=lambda _parser: None, run=fail)
    monkeypatch.setattr(cli, "load", lambda _verb: module)
    monkeypatch.setattr(cli, "verbs", lambda: ["plan"])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert run(["plan"]) == code
    output = capfd.readouterr().err
    assert ("Traceback" in output) == (code == 1)
    if isinstance(error, OSError) and code == 5:
        assert "/full/disk" in output


def test_every_verb_has_a_summary_and_a_manual_page() -> None:
    names = cli.verbs()
    assert {
        "image",
        "plan",
        "fetch",
        "lock",
        "clean",
        "doctor",
        "boot",
        "gate",
        "shell",
        "menuconfig",
        "size",
        "test",
    } <= {*names}
    for name in names:
        module = cli.load(name)
        assert module.SUMMARY
        assert module.__doc__


@pytest.mark.parametrize("name", ["tools", "pi4"])
def test_an_image_of_ones_own_cannot_take_a_name_that_is_in_use(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROTOPI_STORE", str(tmp_path / "store"))
    path = tmp_path / f"{name}.yaml"
    path.write_text("extends: virt\n")
    assert run(["plan", str(path)]) == 2
    assert "is taken" in capfd.readouterr().err
