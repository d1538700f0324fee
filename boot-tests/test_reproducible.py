# SPDX-License-Identifier: MIT
"""The same inputs give the same bytes, without a network: in another folder, with another user name, and on one core.

The default run makes everything after the kernel again; the full run makes the kernel again too, from nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from protopi.api import Session, build_image
from protopi.project import Project
from protopi.store import Store, default_store
from protopi.ui import Ui

pytestmark = pytest.mark.image
PROJECT = Project.here()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def second_build(folder: Path, shared: tuple[str, ...]) -> Path:
    """Build pi4 from a copy of the project, in its own store that shares the downloads and some finished steps.

    Returns the image. There is no network in the namespace where this runs, and `--offline` asks for none.
    """
    clone = folder / "elsewhere" / "protopi"
    ignored = shutil.ignore_patterns(
        "out", "__pycache__", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".venv*"
    )
    shutil.copytree(PROJECT.root, clone, ignore=ignored, symlinks=True)
    store = Store(folder / "store")
    original = default_store()
    for path in (original / "files").iterdir():
        os.link(path, store.root / "files" / path.name)
    session = Session(PROJECT, Ui())
    for step in session.plan("pi4").steps:
        if step.name in shared:
            entry = session.store.get(step.name, step.key)
            assert entry is not None
            (store.root / "builds" / entry.out.parent.name).symlink_to(entry.out.parent)
    python = PROJECT.root / ".venv" / "bin" / "python"
    code = "import sys; sys.path.insert(0, '.'); from protopi.cli import main; sys.exit(main(sys.argv[1:]))"
    namespace = ["unshare", "--user", "--map-root-user", "--net"]
    done = subprocess.run(
        [*namespace, os.fspath(python), "-c", code, "pi4", "--offline", "--no-gate", "-j1"],
        cwd=clone,
        env={**os.environ, "PROTOPI_STORE": os.fspath(store.root), "USER": "somebody", "TZ": "Asia/Kathmandu"}
        | ({} if "kernel" in shared else {"PROTOPI_NO_CACHE": "1"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in ("rootfs", "sdcard", "init", "firmware"):
        assert f"{name}: done" in done.stderr  # the control: it was really made again
    return clone / "out" / "pi4" / "pi4.img"


def test_a_second_build_without_network_gives_the_same_bytes(tmp_path: Path) -> None:
    built = build_image("pi4")
    again = second_build(tmp_path, ("tools", "kernel"))
    assert sha256(again) == sha256(built.disk)
    for suffix in (".img.zst", ".bmap"):
        assert sha256(again.with_suffix(suffix)) == sha256(built.disk.with_suffix(suffix))


@pytest.mark.full
@pytest.mark.timeout(5400)
def test_a_second_build_with_its_own_kernel_gives_the_same_bytes(tmp_path: Path) -> None:
    built = build_image("pi4")
    assert sha256(second_build(tmp_path, ("tools",))) == sha256(built.disk)
