# SPDX-License-Identifier: MIT
"""The command line: one module of protopi.commands a verb; a word that is no verb is an image to build.

Exit codes are in protopi.errors. Nobody below this module prints an error or ends the process.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import pkgutil
import signal
import sys
import traceback
from types import FrameType, ModuleType

from protopi import commands
from protopi.config import suggest
from protopi.errors import InfraError, ProtopiError, UserError
from protopi.project import Project
from protopi.ui import Ui


def verbs() -> list[str]:
    """The names of all verbs. A module with an underscore in its name is an action of a verb (board_run)."""
    return sorted(module.name for module in pkgutil.iter_modules(commands.__path__) if "_" not in module.name)


def load(verb: str) -> ModuleType:
    """The module of a verb: it has `SUMMARY`, `setup(parser)` and `run(arguments, project, ui) -> int`."""
    return importlib.import_module(f"protopi.commands.{verb}")


def parser(names: list[str]) -> argparse.ArgumentParser:
    """The command line of some verbs (one when it is known which: starting must be quick)."""
    top = argparse.ArgumentParser(
        prog="build.py",
        description="Builds Raspberry Pi 4 images, boots them in QEMU and gates their boot.",
        epilog="`./build.py IMAGE` is `./build.py image IMAGE`. Exit codes: 0 ok, 2 your input, 3 a step failed, "
        "4 a gate says no, 5 infrastructure, 130 interrupted.",
    )
    sub = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name in names:
        module = load(name)
        one = sub.add_parser(name, help=module.SUMMARY, description=module.__doc__)
        module.setup(one)
    return top


#: What the host does to us, whatever we do.
_HOST_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG}
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    """Stop, once: a second signal must not cut the cleaning up short (children have five seconds, then are killed)."""
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit code."""
    for number in _STOPPING:
        signal.signal(number, _terminate)
    os.umask(0o022)
    project, ui, known = Project.here(), Ui(), verbs()
    try:
        if arguments and not arguments[0].startswith("-") and arguments[0] not in known:
            word = arguments[0]
            if word not in project.images() and not word.endswith((".yaml", ".yml")):
                every = [*known, *project.images()]
                raise UserError(
                    f"`{word}` is neither a verb nor an image",
                    hint=suggest(word, every)
                    or f"images: {', '.join(project.images())}; verbs: ./build.py --help; or the path of a .yaml file",
                )
            arguments = ["image", *arguments]
        one = [arguments[0]] if arguments and arguments[0] in known else known
        parsed = parser(one).parse_args(arguments or ["--help"])
        return int(load(parsed.verb).run(parsed, project, ui))
    except ProtopiError as error:
        ui.say(f"error: {error}", style="bold red")
        return error.exit_code
    except KeyboardInterrupt:
        ui.say("interrupted", style="yellow")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in _HOST_FAULTS:
            return _bug(ui)
        where = error.filename or "a file"
        ui.say(f"error: {where}: {error.strerror}\n    hint: make room or give access; what was finished is kept")
        return InfraError.exit_code
    except Exception:
        return _bug(ui)


def _bug(ui: Ui) -> int:
    """A bug of ours: say so, with everything that helps to find it."""
    traceback.print_exc()
    ui.say("this is a bug in protopi; please report it with the lines above", style="bold red")
    return 1
