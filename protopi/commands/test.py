# SPDX-License-Identifier: MIT
"""Run the test suite, from a fresh state if need be: this is what CI runs.

`unit` tests the engine (seconds); `boot` builds the images, boots them in QEMU and tests them; `module` is the part of
both that is about the kernel module. --full adds the long campaigns. As many tests run at once as there are CPUs.
Arguments after `--` go to pytest.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from protopi.api import Session
from protopi.errors import UserError
from protopi.project import Project
from protopi.ui import Ui

SUMMARY = "run the tests; what CI runs"
#: tests/test_suites.py tells which files belong here.
_MODULE = [
    "boot-tests/test_bench.py",
    "boot-tests/test_dkms.py",
    "boot-tests/test_kcov.py",
    "boot-tests/test_kcsan.py",
    "boot-tests/test_kunit.py",
    "boot-tests/test_libmcp.py",
    "boot-tests/test_module.py",
    "boot-tests/test_network.py",
    "boot-tests/test_policy.py",
    "boot-tests/test_seeded.py",
    "tests/test_external_module.py",
    "tests/test_libmcp.py",
    "tests/test_mcp_bench.py",
    "tests/test_mcp_fuzz.py",
    "tests/test_mcp_netlink.py",
    "tests/test_mcp_security.py",
    "tests/test_mcp_source.py",
    "tests/test_syzkaller.py",
]
_SUITES = {"unit": ["tests"], "boot": ["boot-tests"], "module": _MODULE, "all": []}


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("suite", nargs="?", default="all", choices=sorted(_SUITES))
    parser.add_argument("--full", action="store_true", help="the long campaigns too (hours)")
    parser.add_argument("pytest", nargs="*", metavar="-- PYTEST-ARGUMENT", help="passed on to pytest")


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Returns pytest's verdict as an exit code of ours: 0, or 4 when a test failed."""
    if sys.flags.optimize:
        raise UserError("tests need assertions", hint="run Python without -O")
    age = project.lock().age_days
    ui.say(f"the lock is {age} days old")
    if age > 30:
        ui.warn("./build.py lock --update moves it to today's security updates")
    session = Session(project, ui)
    planned = session.plan("pi4")
    with session.builder() as builder:
        # Before pytest, whose time limits are for tests: from an empty store this takes a quarter of an hour.
        roots = [planned.steps[0]] if arguments.suite == "unit" else list(planned.roots)
        builder.build(planned.steps, roots, planned.image.name)
    marks = [] if arguments.full else ["-m", "not full"]
    # A boot keeps one CPU busy. Tests of one file share what they set up, so they stay together.
    workers = len(os.sched_getaffinity(0))
    spread = ["-n", str(workers), "--dist", "loadfile"] if workers > 1 else []
    command = [sys.executable, "-m", "pytest", *spread, *marks, *_SUITES[arguments.suite], *arguments.pytest]
    status = subprocess.run(command, cwd=project.root, check=False).returncode
    return {0: 0, 1: 4, 2: 130, 5: 4}.get(status, 1)
