# SPDX-License-Identifier: MIT
"""Open a shell in the sandbox of one step of an image: what it would see, with a scratch folder to work in.

`./build.py shell pi4` opens it in the tools tree; `./build.py shell pi4 kernel` with the inputs of the kernel's step.
"""

from __future__ import annotations

import argparse
import os
import subprocess

from protopi.api import Session
from protopi.config import suggest
from protopi.errors import UserError
from protopi.project import Project
from protopi.sandbox import Bind, Sandbox
from protopi.tools import environment_of
from protopi.ui import Ui

SUMMARY = "a shell in the sandbox of a step"


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("step", metavar="STEP", nargs="?", help="default: the tools tree alone")


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Returns the shell's exit status."""
    session = Session(project, ui)
    planned = session.plan(arguments.image)
    known = {step.name: step for step in planned.steps}
    if arguments.step and arguments.step not in known:
        raise UserError(
            f"there is no step `{arguments.step}`", hint=suggest(arguments.step, known) or "steps: " + ", ".join(known)
        )
    step = known[arguments.step] if arguments.step else planned.steps[0]
    with session.builder() as builder, session.store.scratch("shell") as scratch:
        needed = [planned.steps[0], *step.needs.values()]
        builder.build(planned.steps, needed, planned.image.name)
        builder.fetch(step.packages if step.recipe else [])
        for name in ("build", "out"):
            (scratch / name).mkdir()
        if step.recipe is None:
            tools = session.tools(planned)
            bind = Bind(scratch / "build", "/build", writable=True)
            sandbox = Sandbox(tools.root, (bind,), environment_of(planned.lock.epoch))
        else:
            sandbox = builder.sandbox(step, scratch, scratch / "build", scratch / "out")
            ui.say(f"the step itself is: python3 -m protopi.step {step.target}")
        ui.say(f"work folder, removed afterwards: {scratch}/build")
        term = {"TERM": os.environ.get("TERM", "dumb"), "PS1": f"[{step.name}] \\w # "}
        inside = Sandbox(sandbox.root, sandbox.binds, {**sandbox.environment, **term}, sandbox.cwd)
        return subprocess.run(inside.argv(["bash", "--norc", "-i"]), check=False).returncode
