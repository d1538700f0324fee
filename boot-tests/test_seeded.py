# SPDX-License-Identifier: MIT
"""The seeded bugs of mcp/seeded: nearly all of them are found by a test, and the module without a fault by none."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from module_bench import open_bench
from second_disk import mount, second_disk
from seeded import Bug, build, campaign, load, table, try_one

from protopi.boot.qemu import Options
from protopi.boot.shell import ask, shell
from protopi.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import BuiltImage

PROJECT = Project.here()
FOLDER = PROJECT.root / "mcp/seeded"
IMAGE = "virt-test"
BUGS = load(FOLDER)
#: The issue's: 23 of 25.
LEAST_SHARE = 23 / 25


def test_there_are_enough_of_them() -> None:
    assert len(BUGS) >= 25
    assert len({bug.kind for bug in BUGS}) >= 15
    assert len({bug.fault for bug in BUGS}) == len(BUGS)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_it_applies_and_names_tests(bug: Bug) -> None:
    check = ["git", "apply", "--check", "--verbose", "-p1", "--directory=mcp", str(bug.path)]
    done = subprocess.run(check, cwd=PROJECT.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Checking patch" in done.stderr, "a patch of nothing"
    folder = PROJECT.root / "mcp" / ("net" if bug.net else "kernel") / "selftests"
    assert all((folder / f"{test}.c").is_file() for test in bug.tests)


@pytest.mark.image
@pytest.mark.full
@pytest.mark.timeout(10800)
def test_they_are_found(built: Callable[[str], BuiltImage], tmp_path: Path) -> None:
    image = built(IMAGE)
    with open_bench(PROJECT, Path(__file__).parent / "images" / f"{IMAGE}.yaml") as bench:
        card, options = second_disk(image, tmp_path, build(bench, BUGS), Options(realtime=True))

    @contextlib.contextmanager
    def machine() -> Iterator[Any]:
        with shell(card, image.board, image.tools, options, 300) as child:
            assert "good.ko" in mount(child)
            assert ask(child, "rmmod mcp; echo status $?", 300).endswith("status 0")
            yield child

    with machine() as child:
        for name, net in (("good", False), ("good-net", True)):
            tests = sorted({test for bug in BUGS if bug.net == net for test in bug.tests})
            assert tests
            control = try_one(child, name, tests, net=net)
            assert control.by == "", f"{name}, without a fault: {control.by}"

    verdicts = []
    for verdict in campaign(BUGS, machine):
        verdicts.append(verdict)
        print(table(BUGS, [verdict]).splitlines()[0], flush=True)
    print(table(BUGS, verdicts))
    assert len(verdicts) == len(BUGS)
    found = sum(bool(verdict.by) for verdict in verdicts)
    assert found >= LEAST_SHARE * len(BUGS), table(BUGS, verdicts)
