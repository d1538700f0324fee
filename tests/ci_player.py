# SPDX-License-Identifier: MIT
"""Plays CI files: the steps of the composite action, and the scripts of a GitLab job, in a folder of their own.

Shell steps run in bash, as a runner runs them. What they call is replaced: `build.py` by a program that gives its
arguments to Protopi's own parser, logs them and writes the documents that it was asked for; sudo, apt-get, git by
programs that only log. A step that uses another action is logged with its inputs. What GitHub itself does with the
files is not played: they were not run there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from protopi import cli
from protopi.project import Project

ROOT = Project.here().root
_BUILD = f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.ci_player import build
sys.exit(build(sys.argv))
"""
_LOGGER = '#!/bin/sh\n{ printf %s "${0##*/}"; printf " %s" "$@"; echo; } >> "$CI_LOG"\n'
#: `git clone ... FOLDER` makes a checkout.
_GIT = _LOGGER + 'for last; do :; done\nmkdir -p "$last" && cp "$CI_BUILD" "$last/build.py"\n'
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_NAME = re.compile(r"\b(?:inputs|steps|runner)\.[\w.-]+")


class _Loader(yaml.SafeLoader):
    """YAML with GitLab's `!reference`."""


def _reference(loader: yaml.SafeLoader, node: yaml.Node) -> tuple[Any, ...]:
    assert isinstance(node, yaml.SequenceNode)
    return tuple(loader.construct_sequence(node))


_Loader.add_constructor("!reference", _reference)


def load(text: str) -> Any:
    """A CI file's data. GitHub's key `on` is true in YAML 1.1."""
    return yaml.load(text, _Loader)


def accept(arguments: list[str]) -> Any:
    """Parse a command line of `./build.py` as cli.main does. Raises SystemExit when it is wrong."""
    known = cli.verbs()
    if arguments[0] not in known:
        word = arguments[0]
        if word not in Project.here().images() and not word.endswith((".yaml", ".yml")):
            raise SystemExit(f"`{word}` is neither a verb nor an image")
        arguments = ["image", *arguments]
    return cli.parser(arguments[:1]).parse_args(arguments)


def build(argv: list[str]) -> int:
    """What stands in for ./build.py."""
    parsed = accept(argv[1:])
    words = [parsed.verb, getattr(parsed, "action", "")]
    with Path(os.environ["CI_LOG"]).open("a") as log:
        log.write(json.dumps(["build.py", *argv[1:]]) + "\n")
    if parsed.verb == "image":
        name = Path(parsed.image).stem
        out = Path(argv[0]).resolve().parent / "out" / name
        out.mkdir(parents=True, exist_ok=True)
        for file in (f"{name}.img", f"{name}.img.zst", f"{name}.bmap", "manifest.json"):
            (out / file).touch()
    title = " ".join(filter(None, words))
    for option in ("json", "junit", "markdown", "html"):
        if target := getattr(parsed, option, None):
            Path(target).write_text(f"{option} of {title}\n")
    return int(os.environ.get("CI_FAIL_" + title.upper().replace(" ", "_"), "0"))


@dataclass
class Player:
    """A runner's folders. `log` is what was called, a list of words each; `env` is what every step sees."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        bin_, self.work, self.project = self.folder / "bin", self.folder / "work", self.folder / "action"
        for path in (bin_, self.work, self.project / "recipes", self.project / "kernel-config", self.folder / "home"):
            path.mkdir(parents=True)
        (self.project / "protopi.lock").write_text("lock\n")
        (self.project / "recipes" / "kernel.py").write_text("recipe\n")
        self._program(self.project / "build.py", _BUILD)
        for name in ("sudo", "apt-get", "sleep"):
            self._program(bin_ / name, _LOGGER)
        self._program(bin_ / "git", _GIT)
        self.env = {
            "PATH": f"{bin_}:/usr/bin:/bin",
            "HOME": str(self.folder / "home"),
            "USER": "nobody-here",
            "CI_LOG": str(self.folder / "log"),
            "CI_BUILD": str(self.project / "build.py"),
            "RUNNER_TEMP": str(self.folder / "temp"),
            "GITHUB_ACTION_PATH": f"{self.project}/.",
            **self.env,
        }

    def _program(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    @property
    def log(self) -> list[list[str]]:
        """What was called, in its order."""
        path = self.folder / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) if line.startswith("[") else line.split() for line in lines]

    def called(self, program: str) -> list[list[str]]:
        """The arguments of each call of a program."""
        return [words[1:] for words in self.log if words[0] == program]

    def shell(self, script: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a step as a runner does: bash, ended by the first command that fails."""
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script],
            cwd=self.work,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            check=False,
        )


@dataclass
class Played:
    """What became of an action: `failed` is the first exit status that was not 0; `uses` are other actions' inputs."""

    failed: int = 0
    uses: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    summary: str = ""
    said: str = ""
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)


def play(
    action: dict[str, Any], player: Player, given: dict[str, str], *, hosted: bool = True, hit: bool = False
) -> Played:
    """Run a composite action's steps with the inputs `given`; `hit`: the caches are there."""
    unknown = set(given) - set(action["inputs"])
    assert not unknown, f"inputs that the action does not have: {unknown}"
    played = Played()
    values: dict[str, str] = {f"inputs.{name}": str(one["default"]) for name, one in action["inputs"].items()}
    values |= {f"inputs.{name}": text for name, text in given.items()}
    values["runner.environment"] = "github-hosted" if hosted else "self-hosted"
    for number, step in enumerate(action["runs"]["steps"]):
        if not _wanted(step.get("if", "success()"), values, played):
            continue
        settings = {
            key: _resolve(text, values) for key, text in {**step.get("env", {}), **step.get("with", {})}.items()
        }
        outputs: dict[str, str] = {}
        outcome = "success"
        if "uses" in step:
            played.uses.append((step["uses"].partition("@")[0], settings))
            outputs = {"cache-hit": str(hit).lower(), "cache-primary-key": settings.get("key", "")}
        else:
            files = {name: player.folder / f"{name}-{number}" for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
            for path in files.values():
                path.touch()
            done = player.shell(step["run"], {**settings, **{name: str(path) for name, path in files.items()}})
            played.said += done.stdout + done.stderr
            played.summary += files["GITHUB_STEP_SUMMARY"].read_text()
            outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
            if done.returncode:
                outcome = "failure"
                played.failed = played.failed or done.returncode
        if "id" in step:
            played.outputs[step["id"]] = outputs
            values[f"steps.{step['id']}.outcome"] = outcome
            values |= {f"steps.{step['id']}.outputs.{name}": text for name, text in outputs.items()}
    return played


def _resolve(text: object, values: dict[str, str]) -> str:
    """Put values in the place of expressions. Raises KeyError for one that there is not."""
    return _EXPRESSION.sub(lambda match: values[match[1]], str(text))


def _wanted(condition: str, values: dict[str, str], played: Played) -> bool:
    """Whether a step's `if:` holds. One that asks for no status wants that nothing has failed."""
    plain = condition.strip().removeprefix("${{").removesuffix("}}").strip()
    if not re.search(r"\b(success|always|cancelled|failure)\(\)", plain):
        plain = f"success() && ({plain})"
    python = plain.replace("!cancelled()", "True").replace("success()", str(not played.failed)).replace("&&", "and")
    # A step that was left out has no outputs: GitHub then compares with nothing.
    python = _NAME.sub(lambda match: repr(values.get(match[0], "")), python)
    return bool(eval(python, {"__builtins__": {}}))
