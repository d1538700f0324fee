# SPDX-License-Identifier: MIT
"""Turns recipes into steps with keys, in an order in which each comes after what it needs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protopi.errors import UserError
from protopi.key import KEY_FORMAT, hash_files, hash_path, key_of, module_closure
from protopi.lock import Lock, Locked
from protopi.project import Project
from protopi.recipe import Inputs, Recipe
from protopi.tools import TOOLS_SET, tools_inputs

#: The module that runs a build in the sandbox; its closure is part of every key.
STEP_MODULE = "protopi.step"


@dataclass(frozen=True, slots=True)
class Step:
    """One recipe with everything that its build sees.

    document  the inputs as JSON values; the key is its hash
    code      relative path -> sha256 of the modules that the build sees
    needs     name -> Step
    debs      lock set -> packages
    """

    name: str
    key: str
    target: str
    recipe: Recipe | None
    document: Mapping[str, Any]
    code: Mapping[str, str]
    inputs: Inputs
    needs: Mapping[str, Step]
    debs: Mapping[str, tuple[Locked, ...]]

    @property
    def packages(self) -> list[Locked]:
        """All packages that the build reads."""
        return [package for group in self.debs.values() for package in group]


class Planner:
    """Makes the steps of an image; a recipe that several others need is one step."""

    def __init__(self, project: Project, lock: Lock) -> None:
        self.project, self.lock = project, lock
        # By class and image, which is what a recipe is made of: several steps need the kernel, and hashing costs time.
        self._steps: dict[tuple[type[Recipe], int], Step] = {}
        self.tools = self._tools_step()

    def plan(self, *roots: Recipe) -> list[Step]:
        """The steps that make `roots`, tools first, each after what it needs."""
        order: dict[str, Step] = {self.tools.key: self.tools}
        for root in roots:
            self._visit(self.step(root, ()), order)
        return list(order.values())

    def _visit(self, step: Step, order: dict[str, Step]) -> None:
        if step.key not in order:
            for need in step.needs.values():
                self._visit(need, order)
            order[step.key] = step

    def _tools_step(self) -> Step:
        packages = tuple(self.lock.get(TOOLS_SET))
        document = tools_inputs(packages, self.lock.epoch)
        return Step(TOOLS_SET, key_of(document), "", None, document, {}, Inputs(), {}, {TOOLS_SET: packages})

    def step(self, recipe: Recipe, above: tuple[str, ...] = ()) -> Step:
        """The step of a recipe. Raises UserError for inputs that are missing."""
        if recipe.name in above:
            raise AssertionError(f"recipe {recipe.name} needs itself: {' -> '.join(above)}")
        identity = (type(recipe), id(recipe.image))
        if identity in self._steps:
            return self._steps[identity]
        inputs = recipe.inputs()
        needs = {need.name: self.step(need, (*above, recipe.name)) for need in inputs.needs}
        debs = {name: tuple(self.lock.get(name, names)) for name, names in inputs.debs.items()}
        root, cls = self.project.root, type(recipe)
        code = {**module_closure(root, STEP_MODULE), **module_closure(root, cls.__module__)}
        document: dict[str, Any] = {
            "format": KEY_FORMAT,
            "recipe": recipe.name,
            "epoch": self.lock.epoch,
            "code": code,
            "tools": self.tools.key,
            "needs": {name: need.key for name, need in needs.items()},
            "debs": {
                name: {p.name: f"{p.version} {p.architecture} {p.sha256}" for p in group}
                for name, group in debs.items()
            },
            "files": hash_files(root, inputs.files),
            "user_files": {name: _hash_user(Path(path)) for path, name in sorted(inputs.user_files.items())},
            "params": inputs.params,
        }
        target = f"{cls.__module__}:{cls.__qualname__}"
        self._steps[identity] = Step(recipe.name, key_of(document), target, recipe, document, code, inputs, needs, debs)
        return self._steps[identity]


def _hash_user(path: Path) -> dict[str, str]:
    """The hashes of a user's file, or of everything below a user's folder. Raises UserError when it is gone."""
    if not path.exists():
        raise UserError(f"there is no {path}")
    if not path.is_dir():
        return {"": hash_path(path)}
    return {
        os.path.relpath(entry, path): hash_path(entry)
        for entry in sorted(path.rglob("*"))
        if entry.is_file() or entry.is_symlink()
    }
