# SPDX-License-Identifier: MIT
"""Runs steps: fetches what they read, several at a time, each in the sandbox, and publishes what they made."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from protopi.errors import InfraError, Problem, ProtopiError, StepError, UserErrors
from protopi.fetch import fetch, missing
from protopi.key import hash_path
from protopi.lock import Locked
from protopi.plan import STEP_MODULE, Step
from protopi.project import Project
from protopi.sandbox import Bind, Sandbox
from protopi.step import EXIT_USER, PROBLEMS
from protopi.store import Entry, Store, write_atomic
from protopi.tools import TOOLS_SET, build_tools, environment_of
from protopi.ui import StepLine, Ui, mebibytes

_TAIL_LINES = 20
_GRACE = 5.0  # seconds between asking children to end and making them


class Builder:
    """Builds steps into a store. One object per command; `close` ends every child that is left."""

    def __init__(self, project: Project, store: Store, ui: Ui, *, jobs: int = 0, offline: bool = False) -> None:
        self.project, self.store, self.ui = project, store, ui
        self.jobs, self.offline = jobs, offline
        self.cores = jobs or len(os.sched_getaffinity(0))
        self._children: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()
        self._stopping = False
        self.built: list[str] = []

    # --- state ---------------------------------------------------------------------------------------------------

    def missing(self, steps: Sequence[Step], roots: Sequence[Step]) -> list[Step]:
        """The steps that have to run so that the roots are there: a finished step does not ask for its needs."""
        wanted: dict[str, Step] = {}
        todo = list(roots)
        while todo:
            step = todo.pop()
            if step.key not in wanted and self.store.get(step.name, step.key) is None:
                wanted[step.key] = step
                todo += step.needs.values()
        if wanted and (tools := steps[0]).name == TOOLS_SET and self.store.get(tools.name, tools.key) is None:
            wanted[tools.key] = tools
        return [step for step in steps if step.key in wanted]

    # --- running -------------------------------------------------------------------------------------------------

    def build(self, steps: Sequence[Step], roots: Sequence[Step], image: str) -> dict[str, Entry]:
        """Run what is missing; returns the entries of the roots by name.

        Raises UserErrors, StepError or InfraError of the first step that fails, after the others were ended.
        """
        todo = self.missing(steps, roots)
        if todo:
            self.store.sweep()
            self.fetch([package for step in todo for package in step.packages])
            self._run_all(todo)
        entries = {}
        for root in roots:
            entry = self.store.get(root.name, root.key)
            if entry is None:
                raise InfraError(f"{root.name} vanished from the store {self.store.root} while it was used")
            entries[root.name] = entry
        for step in steps:
            self._remember(step, image)
        return entries

    def fetch(self, packages: Sequence[Locked]) -> None:
        """Bring packages into the store, with progress."""
        todo = missing(self.store, packages)
        if not todo:
            return
        total = sum(package.size for package in todo)
        if not self.offline:
            self.ui.say(f"fetch: {len(todo)} packages, {mebibytes(total)}")
        with self.ui.download(total) as line:
            fetch(self.store, todo, offline=self.offline, progress=line.update)

    def _run_all(self, todo: Sequence[Step]) -> None:
        waiting = {step.key: step for step in todo}
        running: dict[concurrent.futures.Future[None], Step] = {}
        tools = {step.key for step in todo if step.name == TOOLS_SET}  # every other step runs in the tools tree
        with concurrent.futures.ThreadPoolExecutor(max_workers=max(2, self.cores)) as pool, self.ui:
            try:
                while waiting or running:
                    unfinished = {*waiting, *(step.key for step in running.values())}
                    for step in list(waiting.values()):
                        needs = ({need.key for need in step.needs.values()} | tools) - {step.key}
                        if not needs & unfinished and len(running) < self.cores:
                            del waiting[step.key]
                            running[pool.submit(self._run, step)] = step
                    done, _ = concurrent.futures.wait(
                        running, timeout=0.5, return_when=concurrent.futures.FIRST_COMPLETED
                    )
                    for job in done:
                        del running[job]
                        job.result()
            except BaseException:
                self.close()
                raise

    def _run(self, step: Step) -> None:
        """Build one step unless somebody else has just done so."""
        full_name = f"{step.name}-{step.key[:32]}"

        def waiting() -> None:
            self.ui.say(f"{step.name}: another build is making it; waiting")

        with self.store.lock(full_name, waiting, lambda: self._stopping):
            if self._stopping or self.store.get(step.name, step.key):
                return
            with self.ui.step(step.name) as line:
                try:
                    self._build_one(step, line)
                except OSError as error:
                    where = error.filename or self.store.root
                    raise InfraError(
                        f"{where}: {error.strerror}", hint="the store is sound; what was finished is kept"
                    ) from error
                line.done()
                self.built.append(step.name)

    def _build_one(self, step: Step, line: StepLine) -> None:
        log_folder = self.store.root / "logs" / f"{step.name}-{step.key[:32]}"
        shutil.rmtree(log_folder, ignore_errors=True)
        log_folder.mkdir(parents=True)
        log = log_folder / "log"
        start = time.monotonic()
        with self.store.scratch(step.name) as scratch:
            out = scratch / "out"
            out.mkdir()
            if step.recipe is None:
                with log.open("wb") as file:
                    try:
                        build_tools(self.store, step.packages, step.document["epoch"], out, file, self._register)
                    except StepError as error:
                        raise self._step_error(step, str(error), log, None) from None
            else:
                work = scratch / "build"
                work.mkdir()
                sandbox = self.sandbox(step, log_folder, work, out)
                command = ["python3", "-m", STEP_MODULE, step.target]
                repeat = log_folder / "repeat.sh"
                repeat.write_text(_repeat(sandbox, command, work, out))
                repeat.chmod(0o755)
                with log.open("wb") as file:
                    status = self._child(sandbox.argv(command), file, log, line)
                if status:
                    self._fail(step, status, work, log, repeat)
            self.store.publish(step.name, step.key, out, step.document, round(time.monotonic() - start, 1))

    def _fail(self, step: Step, status: int, work: Path, log: Path, repeat: Path) -> None:
        problems = work / PROBLEMS.name
        if status == EXIT_USER and problems.is_file():
            assert step.recipe is not None
            place = step.recipe.image.place  # the step knows the key, the image file knows where that stands
            found = [Problem(**fields) for fields in json.loads(problems.read_text())]
            raise UserErrors([p if p.where else dataclasses.replace(p, where=place(p.key)) for p in found])
        raise self._step_error(step, f"step {step.name} failed", log, repeat)

    def _step_error(self, step: Step, message: str, log: Path, repeat: Path | None) -> ProtopiError:
        lines = log.read_text(errors="replace").splitlines()
        if self._stopping:
            return StepError(f"step {step.name} was interrupted")
        if any("No space left on device" in text for text in lines[-200:]) or _is_full(self.store.root):
            free = shutil.disk_usage(self.store.root).free
            return InfraError(
                f"{step.name}: no space left below {self.store.root} ({mebibytes(free)} free)",
                hint="make room, or move the store with PROTOPI_STORE; what was finished is kept",
            )
        return StepError(message, log=log, tail="\n".join(lines[-_TAIL_LINES:]), repeat=repeat)

    def sandbox(self, step: Step, folder: Path, work: Path, out: Path) -> Sandbox:
        """Lay out what the build sees; every file is checked against the key while it is copied."""
        project = folder / "project"
        for relative in step.code:
            _copy(self.project.root / relative, project / relative)
        for relative, digest in step.document["files"].items():
            _copy(self.project.root / relative, project / relative)
            self._unchanged(project / relative, digest)
        user = folder / "user"
        user.mkdir()
        for source, name in step.inputs.user_files.items():
            for inner, digest in step.document["user_files"][name].items():
                target = user / name / inner if inner else user / name
                _copy(Path(source) / inner if inner else Path(source), target)
                self._unchanged(target, digest)
        declaration = {
            "name": step.name,
            "params": step.inputs.params,
            "jobs": self.jobs,
            "debs": {
                name: [{f: getattr(p, f) for f in ("name", "version", "architecture", "sha256", "file")} for p in group]
                for name, group in step.debs.items()
            },
        }
        (folder / "step.json").write_text(json.dumps(declaration, indent=1))
        tools = self.store.root / "builds"
        binds = [
            Bind(folder / "step.json", "/in/step.json"),
            Bind(project, "/project"),
            Bind(user, "/in/user"),
            Bind(work, "/build", writable=True),
            Bind(out, "/out", writable=True),
        ]
        binds += [Bind(self._entry(need).out, f"/in/{name}") for name, need in step.needs.items()]
        for package in step.packages:
            path = self.store.take_file(package.sha256)
            if path is None:
                raise InfraError(f"{package.file} is not in the store any more", hint="run the same command again")
            binds.append(Bind(path, f"/in/debs/{package.file}"))
        tools_key = step.document["tools"][:32]
        if step.recipe is not None and step.recipe.cache and not os.environ.get("PROTOPI_NO_CACHE"):
            cache = self.store.root / "cache" / f"{step.name}-{tools_key}"
            cache.mkdir(exist_ok=True)
            binds.append(Bind(cache, "/cache", writable=True))
        tree = tools / f"{TOOLS_SET}-{tools_key}" / "out"
        return Sandbox(tree, tuple(binds), environment_of(step.document["epoch"]))

    def _entry(self, step: Step) -> Entry:
        entry = self.store.get(step.name, step.key)
        if entry is None:
            raise InfraError(f"{step.name} vanished from the store {self.store.root} while it was used")
        return entry

    @staticmethod
    def _unchanged(copy: Path, digest: str) -> None:
        if hash_path(copy) != digest:
            raise InfraError(f"{copy.name} was changed while the build began", hint="run the same command again")

    # --- children ------------------------------------------------------------------------------------------------

    def _register(self, child: subprocess.Popen[bytes]) -> None:
        with self._guard:
            self._children.add(child)
            if self._stopping:
                _signal(child, signal.SIGTERM)

    def _child(self, argv: Sequence[str], file: object, log: Path, line: StepLine) -> int:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # type: ignore[call-overload]
        )
        self._register(child)
        try:
            while True:
                try:
                    return int(child.wait(timeout=1.0))
                except subprocess.TimeoutExpired:
                    line.note(_last_line(log))
        finally:
            with self._guard:
                self._children.discard(child)

    def close(self) -> None:
        """End every child: politely first."""
        with self._guard:
            self._stopping = True
            children = list(self._children)
        for child in children:
            _signal(child, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        for child in children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=max(0.0, deadline - time.monotonic()))
            if child.poll() is None:
                _signal(child, signal.SIGKILL)
                child.wait()

    # --- memory for --explain ------------------------------------------------------------------------------------

    def _memory(self, step: Step, image: str) -> Path:
        return self.store.root / "last" / image / f"{step.name}.json"

    def _remember(self, step: Step, image: str) -> None:
        path = self._memory(step, image)
        text = json.dumps({"key": step.key, "inputs": step.document})
        if not path.is_file() or path.read_text() != text:
            write_atomic(path, text.encode())

    def remembered(self, step: Step, image: str) -> dict[str, object] | None:
        """The inputs with which a step was last built for an image in this store."""
        try:
            inputs = json.loads(self._memory(step, image).read_text())["inputs"]
        except (FileNotFoundError, ValueError, KeyError):
            return None
        assert isinstance(inputs, dict)
        return inputs


@contextlib.contextmanager
def builder(project: Project, store: Store, ui: Ui, *, jobs: int = 0, offline: bool = False) -> Iterator[Builder]:
    """A Builder whose children are gone afterwards."""
    made = Builder(project, store, ui, jobs=jobs, offline=offline)
    try:
        yield made
    finally:
        made.close()


def _repeat(sandbox: Sandbox, command: Sequence[str], work: Path, out: Path) -> str:
    """A script that runs a step again, in new work and output folders that it leaves for a look."""
    marks = {work: Path("@SCRATCH@/build"), out: Path("@SCRATCH@/out")}  # characters that no shell has to quote
    binds = tuple(dataclasses.replace(bind, source=marks.get(bind.source, bind.source)) for bind in sandbox.binds)
    prepare = 'scratch=$(mktemp -d)\nmkdir "$scratch/build" "$scratch/out"\necho "work and output: $scratch" >&2\n'
    script = dataclasses.replace(sandbox, binds=binds).script(command, prepare)
    return script.replace("@SCRATCH@", '"$scratch"')


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    """Signal the whole session of a child of ours."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        target.unlink(missing_ok=True)
        target.symlink_to(source.readlink())
        return
    shutil.copyfile(source, target)
    target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)


def _last_line(log: Path) -> str:
    """The last line of a log that says something to a person."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 2000))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("== ") if lines else ""


def _is_full(path: Path) -> bool:
    return shutil.disk_usage(path).free < 16 << 20
