# SPDX-License-Identifier: MIT
"""The sandbox side of a recipe: its context, and the program that runs one `build`.

The engine starts `python3 -m protopi.step recipes.NAME:Class` inside bubblewrap, with the declaration as JSON in
/in/step.json. Only the recipe's own modules are visible, so an import that the key does not cover fails.
Keep this module small: it is part of the key of every recipe.
"""

from __future__ import annotations

import importlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protopi.errors import ProtopiError, StepError, UserErrors

#: Exit codes by which a step tells the engine why it stopped.
EXIT_USER, EXIT_STEP = 2, 3
#: A user's mistake, found in the sandbox, is handed to the engine in this file of the work folder.
PROBLEMS = Path("/build/.problems.json")


@dataclass(frozen=True, slots=True)
class Deb:
    """A locked Debian package; `path` is the .deb as seen in the sandbox, `section` its archive's licence hint."""

    name: str
    version: str
    architecture: str
    sha256: str
    path: Path


@dataclass(frozen=True, slots=True)
class Context:
    """What `build` gets. All paths are those inside the sandbox and the same on every machine."""

    name: str
    params: Mapping[str, Any]
    jobs: int
    epoch: int
    _debs: Mapping[str, Mapping[str, Deb]]
    out: Path = Path("/out")
    work: Path = Path("/build")
    project: Path = Path("/project")

    def input(self, recipe: str) -> Path:
        """The output folder of a recipe that was named in `needs`."""
        path = Path("/in") / recipe
        if not path.is_dir():
            raise KeyError(f"{self.name} did not declare that it needs {recipe}")
        return path

    def user(self, name: str) -> Path:
        """A file of the user's, by the name given in `user_files`."""
        return Path("/in/user") / name

    def debs(self, lock_set: str) -> Mapping[str, Deb]:
        """The declared packages of a lock set, by name."""
        return self._debs[lock_set]

    def say(self, text: str) -> None:
        """A line for the log that also shows on a terminal while the step runs."""
        print(f"== {text}", flush=True)

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        capture: bool = False,
    ) -> str:
        """Run a program; with `capture`, return its standard output (text).

        Raises StepError, naming the command, when it ends with anything but 0.
        """
        words = [os.fspath(word) for word in argv]
        print(f"+ {shlex.join(words)}", flush=True)
        try:
            done = subprocess.run(
                words,
                cwd=cwd,
                env={**os.environ, **env} if env else None,
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                stdout=subprocess.PIPE if capture else None,
                check=False,
            )
        except OSError as error:
            raise StepError(f"{words[0]} cannot be run: {error.strerror}") from error
        text = done.stdout.decode(errors="replace") if capture else ""
        if done.returncode:
            if text:
                print(text, flush=True)
            raise StepError(f"`{shlex.join(words)[:500]}` ended with status {done.returncode}")
        return text


def load_context(declaration: Mapping[str, Any]) -> Context:
    """Build the context from /in/step.json."""
    debs = {
        lock_set: {
            entry["name"]: Deb(
                name=entry["name"],
                version=entry["version"],
                architecture=entry["architecture"],
                sha256=entry["sha256"],
                path=Path("/in/debs") / entry["file"],
            )
            for entry in entries
        }
        for lock_set, entries in declaration["debs"].items()
    }
    return Context(
        name=declaration["name"],
        params=declaration["params"],
        jobs=len(os.sched_getaffinity(0)) if not declaration["jobs"] else int(declaration["jobs"]),
        epoch=int(os.environ["SOURCE_DATE_EPOCH"]),
        _debs=debs,
    )


def main(target: str) -> int:
    """Run the `build` of the class that `target` ("module:Class") names; 0 is success."""
    module, _, cls = target.partition(":")
    context = load_context(json.loads(Path("/in/step.json").read_text()))
    try:
        getattr(importlib.import_module(module), cls).build(context)
    except UserErrors as error:
        fields = ("message", "where", "key", "hint")
        PROBLEMS.write_text(json.dumps([{f: getattr(p, f) for f in fields} for p in error.problems]))
        print(error, flush=True)
        return EXIT_USER
    except ProtopiError as error:
        print(error, flush=True)
        return EXIT_STEP
    return 0


if __name__ == "__main__":
    # Imported under its real name, so that the classes which recipes import are these and not those of __main__.
    sys.exit(importlib.import_module("protopi.step").main(sys.argv[1]))
