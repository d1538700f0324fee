# SPDX-License-Identifier: MIT
"""Files of ours and of the user's: copied as they are, or rendered by Jinja2 where the name ends in .j2.

Modes are declared, not taken from the disk: a clone's umask must not show in an image. Only the owner's x bit of a
source file counts (git keeps it); what needs another mode stands in MODES.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
import jinja2.nodes
import jinja2.sandbox

from protopi.errors import Problem
from recipes.rootfs_tree import Entry, Tree, matches, normalise, parents

#: What a template may name: the declaration of recipes.rootfs, and what is known when the image is made.
NAMES = frozenset(
    ("name", "hostname", "timezone", "packages", "drop", "unpack_only", "exclude", "services", "modules", "ssh", "wifi",
     "console_shell", "policies", "test", "kernel_release", "epoch")
)  # fmt: skip
#: Path patterns of image/rootfs whose mode is neither 0644 nor 0755.
MODES: Mapping[str, int] = {
    "etc/dropbear": 0o700,
    "etc/dropbear/*": 0o600,
    "etc/protopi/wifi.conf": 0o600,
}


def render(text: str, values: Mapping[str, Any], where: str) -> str:
    """Render a template. Raises RenderError, with file and line, for whatever is wrong with it."""
    try:
        return _environment().from_string(text).render({name: values[name] for name in NAMES & values.keys()})
    except jinja2.TemplateSyntaxError as error:
        raise RenderError(Problem(f"not a template: {error.message}", where=f"{where}:{error.lineno}")) from error
    except jinja2.UndefinedError as error:
        known = ", ".join(sorted(NAMES & values.keys()))
        raise RenderError(
            Problem(str(error.message), where=f"{where}:{_line(error)}", hint=f"a template knows: {known}")
        ) from error
    except Exception as error:  # the template's code: whatever it raises is its author's to mend
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        raise RenderError(Problem(f"cannot be rendered: {what}", where=f"{where}:{_line(error)}")) from error


def _environment() -> jinja2.Environment:
    """A template is data with gaps, not a program: no private attributes, no calls that leave it."""
    return jinja2.sandbox.SandboxedEnvironment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False
    )


def check_template(path: Path) -> list[Problem]:
    """What can be said of a template without rendering it: its syntax, and names that nobody gives."""
    try:
        parsed = _environment().parse(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        return [Problem("a template must be UTF-8 text", where=str(path))]
    except OSError as error:
        return [Problem(f"cannot be read: {error.strerror}", where=str(path))]
    except jinja2.TemplateSyntaxError as error:
        return [Problem(f"not a template: {error.message}", where=f"{path}:{error.lineno}")]
    except RecursionError:
        return [Problem("is nested too deeply", where=str(path))]
    lines = {node.name: node.lineno for node in reversed(list(parsed.find_all(jinja2.nodes.Name)))}
    return [
        Problem(f"'{name}' is undefined", where=f"{path}:{lines.get(name, 1)}",
                hint=f"a template knows: {', '.join(sorted(NAMES))}")
        for name in sorted(jinja2.meta.find_undeclared_variables(parsed) - NAMES)
        if not _tested(parsed, name)
    ]  # fmt: skip


def _tested(parsed: jinja2.nodes.Template, name: str) -> bool:
    """Whether a template asks if a name is defined: then it need not be."""
    tests = parsed.find_all((jinja2.nodes.Test, jinja2.nodes.Filter))
    return any(
        isinstance(test.node, jinja2.nodes.Name)
        and test.node.name == name
        and test.name in ("defined", "undefined", "default", "d")
        for test in tests
    )


class RenderError(Exception):
    """A template that cannot be rendered."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def _line(error: Exception) -> int:
    """The line of the template in which an error was raised: Jinja2 puts its frames under the name <template>."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def copy_folder(tree: Tree, source: Path, values: Mapping[str, Any], where: str) -> list[Problem]:
    """Put every file below a folder of the project at the same path of the image."""
    problems = []
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source).as_posix()
        if path.is_symlink():
            tree.link(relative, os.readlink(path))
        elif path.is_dir():
            tree.folder(relative, _mode(relative, 0o755))
        else:
            problems += copy_file(tree, path, relative, values, f"{where}/{relative}")
    return problems


def copy_file(
    tree: Tree,
    source: Path,
    dest: str,
    values: Mapping[str, Any],
    where: str,
    *,
    mode: int | None = None,
    owner: str = "root",
    group: str = "root",
) -> list[Problem]:
    """Put one file into the image; a destination that ends in .j2 loses that and is rendered."""
    data = source.read_bytes()
    if dest.endswith(".j2"):
        dest = dest.removesuffix(".j2")
        try:
            data = render(data.decode(), values, where).encode()
        except RenderError as error:
            return [error.problem]
        except UnicodeDecodeError:
            return [Problem("a template must be UTF-8 text", where=where)]
    usual = 0o755 if source.stat().st_mode & 0o100 else 0o644
    tree.put(dest, Entry("file", _mode(dest, usual) if mode is None else mode, owner, group, data))
    return []


def copy_user(tree: Tree, source: Path, dest: str, values: Mapping[str, Any], where: str,
              *, mode: int | None, owner: str, group: str, empty: Iterable[str] = ()) -> list[Problem]:  # fmt: skip
    """Put a user's file or folder into the image; `mode` is that of files, folders get x where r is.

    `empty`: folders below a folder that hold nothing, which `source` may lack.
    """
    for parent in (path for path in parents(normalise(dest)) if path in tree and tree[path].kind != "dir"):
        return [Problem(f"/{parent} is no folder: there can be nothing below it", key=f"files./{dest}")]
    if not source.is_dir():
        if (final := normalise(dest.removesuffix(".j2"))) in tree and tree[final].kind == "dir":
            return [Problem(f"/{final} is a folder of the image", key=f"files./{dest}", hint="name the file in it")]
        name = dest + ".j2" if where.endswith(".j2") and not dest.endswith(".j2") else dest
        return copy_file(tree, source, name, values, where, mode=mode, owner=owner, group=group)
    folder_mode = 0o755 if mode is None else mode | (mode & 0o444) >> 2
    tree.folder(dest, folder_mode, owner=owner, group=group)
    for relative in empty:
        for folder in (*parents(f"{dest}/{relative}"), f"{dest}/{relative}"):
            if folder.startswith(f"{dest}/"):
                tree.folder(folder, folder_mode, owner=owner, group=group)
    problems: list[Problem] = []
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source).as_posix()
        place = f"{dest}/{relative}"
        if path.is_symlink():
            tree.link(place, os.readlink(path))
        elif path.is_dir():
            tree.folder(place, folder_mode, owner=owner, group=group)
        else:
            problems += copy_file(tree, path, place, values, f"{where}/{relative}", mode=mode, owner=owner, group=group)
    return problems


def _mode(path: str, usual: int) -> int:
    return next((mode for pattern, mode in MODES.items() if matches(path, (pattern,))), usual)
