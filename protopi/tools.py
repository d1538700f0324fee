# SPDX-License-Identifier: MIT
"""The tools tree: a Debian system in the store, from locked packages, in which every build runs.

mmdebstrap installs it from a local repository that holds the locked packages and nothing else, so that apt can only
resolve to the lock. It is kept as the tree of one user (whoever builds), without set-uid bits.
"""

from __future__ import annotations

import concurrent.futures
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from protopi.errors import InfraError, StepError
from protopi.lock import Locked
from protopi.sandbox import MOUNT_POINTS
from protopi.store import Store, remove_tree

TOOLS_SET = "tools"
SUITE = "trixie"
#: What people read and builds do not: left out, it halves the unpacking.
_EXCLUDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/lintian/*")
_TREE_FORMAT = 1


def tools_inputs(packages: Sequence[Locked], epoch: int) -> dict[str, Any]:
    """What the key of the tools tree is made of."""
    return {
        "format": _TREE_FORMAT,
        "recipe": TOOLS_SET,
        "epoch": epoch,
        "excluded": list(_EXCLUDED),
        "mount_points": list(MOUNT_POINTS),
        "debs": {TOOLS_SET: {p.name: f"{p.version} {p.architecture} {p.sha256}" for p in packages}},
    }


def mmdebstrap_mode() -> list[str]:
    """How mmdebstrap gets the rights that dpkg wants."""
    return ["--mode=root"] if os.geteuid() == 0 else ["--mode=unshare"]


def make_repository(folder: Path, store: Store, packages: Sequence[Locked]) -> None:
    """A flat apt repository of the locked packages, whose bytes are hashed on the way.

    Raises InfraError for a download that is missing or was altered.
    """

    def add(package: Locked) -> str:
        source = store.take_file(package.sha256)
        if source is None:
            raise InfraError(f"{package.file} is not in the store", hint="run the same command again: it is fetched")
        target = folder / package.file
        try:
            os.link(source, target)
        except OSError:  # another file system
            shutil.copyfile(source, target)
        control = subprocess.run(["dpkg-deb", "-f", os.fspath(source)], capture_output=True, text=True, check=False)
        if control.returncode:
            raise InfraError(f"{package.file}: {control.stderr.strip()}")
        fields = control.stdout.strip()
        return f"{fields}\nFilename: ./{package.file}\nSize: {package.size}\nSHA256: {package.sha256}\n"

    with concurrent.futures.ThreadPoolExecutor() as pool:
        stanzas = list(pool.map(add, packages))
    (folder / "Packages").write_text("\n".join(stanzas), encoding="utf-8")


def build_tools(
    store: Store,
    packages: Sequence[Locked],
    epoch: int,
    out: Path,
    log: IO[bytes],
    register: Callable[[subprocess.Popen[bytes]], None],
) -> None:
    """Make the tree in `out`. Raises StepError with mmdebstrap's last lines, or InfraError."""
    # Outside the store: in unshare mode another uid reads the repository, and a home folder may be closed to it.
    repository = Path(tempfile.mkdtemp(prefix="protopi-repository."))
    try:
        repository.chmod(0o755)
        make_repository(repository, store, packages)
        command = [
            "mmdebstrap",
            *mmdebstrap_mode(),
            "--variant=custom",
            "--format=tar",
            "--architectures=amd64",
            "--include=" + ",".join(package.name for package in packages),
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _EXCLUDED),
            "--dpkgopt=force-unsafe-io",  # the store syncs once, at the end
            '--aptopt=Acquire::Languages "none"',
            "--skip=check/qemu,cleanup/apt/lists",
            SUITE,
            "-",
            f"deb [trusted=yes] copy:{repository} ./",
        ]
        out.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "TMPDIR": tempfile.gettempdir()}
        maker = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
        register(maker)
        unpacker = subprocess.Popen(
            ["tar", "-x", "--no-same-owner", "--no-same-permissions", "--exclude=./dev/*", "-C", os.fspath(out)],
            stdin=maker.stdout,
            stderr=log,
            start_new_session=True,
        )
        register(unpacker)
        assert maker.stdout
        maker.stdout.close()
        if unpacker.wait() | maker.wait():
            raise StepError("mmdebstrap could not install the tools tree")
        _finish(out)
    finally:
        remove_tree(repository)


def _finish(root: Path) -> None:
    """Mount points for the sandbox, and what mmdebstrap wrote that says where and when."""
    for name in (*MOUNT_POINTS, "dev", "proc", "tmp", "sys"):
        (root / name).mkdir(exist_ok=True)
    for folder in ("var/lib/apt/lists", "var/cache/apt", "var/log"):
        remove_tree(root / folder)
        (root / folder).mkdir(parents=True)
    (root / "etc/apt/sources.list").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("")


def environment_of(epoch: int) -> Mapping[str, str]:
    """What every build finds in its environment, beside PATH, HOME, TZ and LC_ALL."""
    return {"SOURCE_DATE_EPOCH": str(epoch), "PYTHONPATH": "/project", "PYTHONDONTWRITEBYTECODE": "1"}
