# SPDX-License-Identifier: MIT
"""What a recipe is: a class that declares its inputs and has one `build`.

A recipe is a pure function: its key (protopi.key) is the hash of everything in its `Inputs` and of its own code,
so `Inputs` must name all that the build reads. `build` runs in the sandbox and sees nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from protopi.image import Image
    from protopi.step import Context


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that a build reads.

    needs       recipes whose outputs are mounted at /in/NAME
    debs        lock set -> package names ("*": the whole set); the .deb files are mounted at /in/debs
    files       project files and folders, relative to the project; mounted below /project
    user_files  the user's own files: absolute host path -> name; mounted below /in/user
    params      JSON values
    """

    needs: tuple[Recipe, ...] = ()
    debs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    user_files: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)


class Recipe(ABC):
    """Base of all recipes. One instance is one recipe for one image.

    name     what the output is called: /in/NAME in the sandbox, NAME-KEY in the store
    summary  one line for `plan` and for people
    licence  SPDX expression of what it makes
    cache    True: /cache is a folder that outlives the build, one for each recipe and tools tree: the one declared
             impurity. It may make a build faster and nothing else (off under PROTOPI_NO_CACHE=1)
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    licence: ClassVar[str]
    cache: ClassVar[bool] = False

    def __init__(self, image: Image) -> None:
        self.image = image

    @abstractmethod
    def inputs(self) -> Inputs:
        """Declare all that the build reads (runs on the host; must be cheap and without side effects)."""

    @staticmethod
    @abstractmethod
    def build(ctx: Context) -> None:
        """Make the output in ctx.out (runs in the sandbox). Raises StepError or UserError."""
