# SPDX-License-Identifier: MIT
"""Open the kernel's menuconfig with an image's configuration, and print what was changed as fragment lines.

Nothing is written to the project: put the lines into a fragment of your own (`kernel: {fragments: [my.config]}` in an
image file) or of kernel-config/. A fragment that does not survive is an error of the next build, with the reason.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys

from protopi.api import Session
from protopi.errors import StepError, UserError
from protopi.project import Project
from protopi.sandbox import Sandbox
from protopi.ui import Ui

SUMMARY = "the kernel's menuconfig; prints the changes as fragment lines"
#: Runs in the kernel's sandbox, where only the kernel recipe's own modules are visible.
_INSIDE = """
import json, shutil, subprocess, sys
from pathlib import Path
from protopi.step import load_context
from recipes import kernel
context = load_context(json.loads(Path("/in/step.json").read_text()))
tree = context.work / "linux"
kernel.unpack(context, tree)
make = kernel.make_command(context)
kernel.configure(context, tree, make)
shutil.copyfile(tree / ".config", context.out / "before")
status = subprocess.run([*make, "menuconfig"], cwd=tree).returncode
shutil.copyfile(tree / ".config", context.out / "after")
sys.exit(status)
"""


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("image", metavar="IMAGE")


def changes(before: str, after: str) -> list[str]:
    """The lines of a fragment that turns one .config into another."""
    old, new = _options(before), _options(after)
    lines = []
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            value = new.get(name)
            lines.append(f"# {name} is not set" if value is None else f"{name}={value}")
    return lines


def _options(config: str) -> dict[str, str]:
    return dict(re.findall(r"^(CONFIG_\w+)=(.*)$", config, re.MULTILINE))


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Prepare the tree as a build would, then hand the terminal over."""
    if not sys.stdin.isatty():
        raise UserError("menuconfig needs a terminal")
    session = Session(project, ui)
    planned = session.plan(arguments.image)
    step = next(step for step in planned.steps if step.name == "kernel")
    with session.builder() as builder, session.store.scratch("menuconfig") as scratch:
        builder.build(planned.steps, [planned.steps[0]], planned.image.name)
        builder.fetch(step.packages)
        for name in ("build", "out"):
            (scratch / name).mkdir()
        sandbox = builder.sandbox(step, scratch, scratch / "build", scratch / "out")
        environment = {**sandbox.environment, "TERM": os.environ.get("TERM", "linux")}
        inside = Sandbox(sandbox.root, sandbox.binds, environment, sandbox.cwd)
        # The menu is drawn on stderr, so that the lines can be redirected into a file.
        status = subprocess.run(inside.argv(["python3", "-c", _INSIDE]), stdout=sys.stderr, check=False).returncode
        if status:
            raise StepError(f"menuconfig ended with status {status}")
        lines = changes((scratch / "out" / "before").read_text(), (scratch / "out" / "after").read_text())
    print("\n".join(lines) if lines else "# nothing changed")
    return 0
