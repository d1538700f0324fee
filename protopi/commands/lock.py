# SPDX-License-Identifier: MIT
"""Show the lock's age, or move it with --update.

`lock --update` resolves every set with trixie's own apt from the current mirrors, writes protopi.lock and prints what
moved. With names (`lock --update mine.yaml`, `lock --update tools`) only those sets move. The packages of an image
file of your own are locked in NAME.lock beside it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from protopi.api import IMAGE_RECIPE, PLUGIN_RECIPE, STOCK_RECIPE, Session
from protopi.errors import UserError
from protopi.image import Image
from protopi.lock import Lock, difference, read_lock, write_lock
from protopi.mirrors import find_mirrors
from protopi.project import Project
from protopi.recipe import Recipe
from protopi.resolve import Wanted, resolve
from protopi.tools import TOOLS_SET
from protopi.ui import Ui

SUMMARY = "show or move the versions that builds use"


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("--update", action="store_true", help="resolve again and write the lock")
    parser.add_argument("sets", metavar="SET|IMAGE", nargs="*", help="default: all sets of the project")


def file_sets(session: Session, image: Image) -> dict[str, set[str]]:
    """Lock set -> packages that the recipes of an image name one by one (they are only unpacked)."""
    found: dict[str, set[str]] = {}

    def visit(recipe: Recipe) -> None:
        inputs = recipe.inputs()
        for lock_set, names in inputs.debs.items():
            if "*" not in names:
                found.setdefault(lock_set, set()).update(names)
        for need in inputs.needs:
            visit(need)

    for target in (IMAGE_RECIPE, PLUGIN_RECIPE, STOCK_RECIPE):
        visit(session.recipe(target, image))
    return found


_IMAGE_ARCHITECTURE = "arm64"


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Show or update."""
    if arguments.sets and not arguments.update:
        raise UserError("sets are named to move them", hint="add --update")
    if not arguments.update:
        lock = project.lock()
        for name, packages in sorted(lock.sets.items()):
            print(f"{name}: {len(packages)} packages")
        print(f"last update: {time.strftime('%Y-%m-%d', time.gmtime(lock.epoch))}, {lock.age_days} days ago")
        return 0
    session = Session(project, ui)
    own = [word for word in arguments.sets if word.endswith((".yaml", ".yml"))]
    named = [word for word in arguments.sets if word not in own]
    images = {name: project.image(name) for name in project.images()}
    if named or not own:
        _update(session, project.lock_path, images, named, ui)
    for word in own:
        image = project.image(word)
        _update(session, project.image_lock_path(image), {image.name: image}, [image.name], ui)
    return 0


def _update(session: Session, path: Path, images: dict[str, Image], named: list[str], ui: Ui) -> None:
    project_lock = path == session.project.lock_path
    # Images that ask for the same packages share the set of the first of them.
    wanted: dict[str, Wanted] = {}
    for name, image in images.items():
        packages = tuple(sorted(image.packages))
        if all(packages != other.packages for other in wanted.values()):
            wanted[name] = Wanted(name, _IMAGE_ARCHITECTURE, packages, closure=True)
    if project_lock:
        from recipes.tools import PACKAGES

        wanted[TOOLS_SET] = Wanted(TOOLS_SET, "amd64", PACKAGES, closure=True)
        files: dict[str, set[str]] = {}
        for image in images.values():
            for name, found in file_sets(session, image).items():
                files.setdefault(name, set()).update(found)
        from recipes.stock_kernel import HOST_SET, LOCK_SET

        for name, singles in files.items():
            architecture = "amd64" if name == HOST_SET else _IMAGE_ARCHITECTURE
            backports = name in (HOST_SET, LOCK_SET)
            wanted[name] = Wanted(name, architecture, tuple(sorted(singles)), closure=False, backports=backports)
    shared = {name: one.name for name, image in images.items() for one in wanted.values()
              if one.closure and one.packages == tuple(sorted(image.packages))}  # fmt: skip
    named = [shared.get(name, name) for name in named]
    if unknown := sorted(set(named) - set(wanted)):
        raise UserError(f"there is no set `{unknown[0]}`", hint="sets: " + ", ".join(sorted(wanted)))
    chosen = [one for name, one in sorted(wanted.items()) if not named or name in named]
    old = read_lock(path) if path.is_file() else None
    ui.say(f"resolving {', '.join(one.name for one in chosen)}")
    sets = resolve(session.store, find_mirrors(), chosen)
    kept_sets = {name: rows for name, rows in (old.sets if old else {}).items() if name in wanted}
    kept_wanted = {name: rows for name, rows in (old.wanted if old else {}).items() if name in wanted}
    fresh = Lock(
        epoch=old.epoch if old else 0,
        sets={**kept_sets, **sets},
        wanted={**kept_wanted, **{one.name: one.packages for one in chosen}},
    )
    moved = difference(old, fresh)
    # The epoch is the date in every image: it moves only when all of the project's packages may have moved.
    if old is None or (moved and not named):
        fresh = Lock(int(time.time()) // 86400 * 86400, fresh.sets, fresh.wanted)
    write_lock(path, fresh)
    for line in moved:
        print(line)
    ui.say(f"{path}: {len(moved)} changes")
