# SPDX-License-Identifier: MIT
"""The one exception tree. Nobody else calls sys.exit: the command line maps these to exit codes.

| exception | exit code | meaning |
|---|---|---|
| UserError, UserErrors | 2 | the user can mend it: message, place and hint, no traceback |
| StepError | 3 | a build step failed: its log and a script that repeats it |
| GateError | 4 | a gate says no |
| InfraError | 5 | no verdict possible: network, host tools, no answer |
| KeyboardInterrupt | 130 | interrupted |
| anything else | 1 | a bug of ours, with its traceback |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in something the user wrote.

    `where` is "FILE:LINE" (or a file, or empty); `key` the dotted key; `hint` what to do about it.
    """

    message: str
    where: str = ""
    key: str = ""
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        key = f"{self.key}: " if self.key else ""
        hint = f"\n    hint: {self.hint}" if self.hint else ""
        return f"{place}{key}{self.message}{hint}"


class ProtopiError(Exception):
    """Base of all errors that are reported without a traceback."""

    exit_code = 1


class UserErrors(ProtopiError):
    """Everything that is wrong with what the user gave, at once."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = tuple(problems)


class UserError(UserErrors):
    """A single mistake of the user's."""

    def __init__(self, message: str, *, hint: str = "", where: str = "", key: str = "") -> None:
        super().__init__([Problem(message, where=where, key=key, hint=hint)])


class StepError(ProtopiError):
    """A build step failed; `log` holds its whole output, `repeat` a script that runs exactly that step again."""

    exit_code = 3

    def __init__(self, message: str, *, log: Path | None = None, tail: str = "", repeat: Path | None = None) -> None:
        lines = [message]
        if tail:
            lines += ["last lines:", *(f"  | {line}" for line in tail.splitlines())]
        if log:
            lines.append(f"log:    {log}")
        if repeat:
            lines.append(f"repeat: {repeat}")
        super().__init__("\n".join(lines))
        self.log, self.tail, self.repeat = log, tail, repeat


class GateError(ProtopiError):
    """A gate has a verdict, and it is no."""

    exit_code = 4


class InfraError(ProtopiError):
    """No verdict is possible: the network, the host or a tool is at fault, not the image."""

    exit_code = 5

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message + (f"\n    hint: {hint}" if hint else ""))
