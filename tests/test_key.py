# SPDX-License-Identifier: MIT
"""Keys change exactly when an input does, and `--explain` names that input."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from protopi import key as key_module
from protopi.image import Image
from protopi.key import explain, hash_path, module_closure
from protopi.lock import Lock, Locked
from protopi.plan import Planner
from protopi.project import Project
from protopi.recipe import Inputs, Recipe

DEB = Locked("tool", "1", "amd64", 3, "00" * 32, "pool/t/tool_1_amd64.deb")
PART = Locked("part", "1", "arm64", 3, "11" * 32, "pool/p/part_1_arm64.deb")
LOCK = Lock(1000, {"tools": {"tool": DEB}, "sources": {"part": PART}})


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with one recipe that imports a helper."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "__init__.py").write_text("")
    (tmp_path / "recipes" / "helper.py").write_text("X = 1\n")
    (tmp_path / "recipes" / "base.py").write_text("from recipes.helper import X\nY = X\n")
    (tmp_path / "protopi").mkdir()
    (tmp_path / "protopi" / "step.py").write_text("import os\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("data")
    return Project(tmp_path)


class Part(Recipe):
    name = "part"
    summary = "a part"
    licence = "MIT"
    params: dict[str, Any] = {"a": 1}  # noqa: RUF012
    user: dict[str, str] = {}  # noqa: RUF012

    def inputs(self) -> Inputs:
        return Inputs(debs={"sources": ("part",)}, files=("data",), params=self.params, user_files=self.user)

    @staticmethod
    def build(ctx: object) -> None:
        raise AssertionError("not run")


def key_of_part(project: Project, lock: Lock = LOCK, **attributes: Any) -> str:
    key_module._hash_source.cache_clear()
    key_module._imports.cache_clear()
    cls = type("Part", (Part,), {"__module__": "recipes.base", **attributes})
    return Planner(project, lock).step(cls(Image(board="x"))).key


def test_the_same_inputs_give_the_same_key(project: Project) -> None:
    assert key_of_part(project) == key_of_part(project)


def test_a_file_that_the_recipe_did_not_declare_does_not_change_the_key(project: Project) -> None:
    before = key_of_part(project)
    (project.root / "unrelated").write_text("x")
    (project.root / "recipes" / "unrelated.py").write_text("x = 1\n")
    assert key_of_part(project) == before


@pytest.mark.parametrize(
    ("path", "text"),
    [("data/file", "other"), ("data/new", ""), ("recipes/base.py", "# changed\n"), ("recipes/helper.py", "X = 2\n")],
)
def test_a_declared_file_and_imported_code_change_the_key(project: Project, path: str, text: str) -> None:
    before = key_of_part(project)
    (project.root / path).write_text(text)
    assert key_of_part(project) != before


def test_the_executable_bit_changes_the_key_and_the_rest_of_the_mode_does_not(project: Project) -> None:
    path = project.root / "data" / "file"
    path.chmod(0o644)
    before = key_of_part(project)
    path.chmod(0o600)
    assert key_of_part(project) == before
    path.chmod(0o755)
    assert key_of_part(project) != before


def test_a_parameter_changes_the_key(project: Project) -> None:
    assert key_of_part(project, params={"a": 2}) != key_of_part(project)


def test_a_package_of_another_hash_changes_the_key_whatever_its_version(project: Project) -> None:
    moved = Lock(1000, {**LOCK.sets, "sources": {"part": dataclasses.replace(PART, sha256="22" * 32)}})
    assert key_of_part(project, moved) != key_of_part(project)


def test_another_tools_tree_changes_every_key(project: Project) -> None:
    moved = Lock(1000, {**LOCK.sets, "tools": {"tool": dataclasses.replace(DEB, sha256="22" * 32)}})
    assert key_of_part(project, moved) != key_of_part(project)


def test_a_users_file_counts_by_its_bytes_and_not_by_its_path(project: Project, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("same")
    two.write_text("same")
    first = key_of_part(project, user={str(one): "file"})
    assert key_of_part(project, user={str(two): "file"}) == first
    two.write_text("other")
    assert key_of_part(project, user={str(two): "file"}) != first


def test_the_closure_follows_imports_and_not_type_checking_ones(project: Project) -> None:
    key_module._imports.cache_clear()
    (project.root / "recipes" / "base.py").write_text(
        "from typing import TYPE_CHECKING\nimport recipes.helper\nif TYPE_CHECKING:\n    import recipes.types\n"
    )
    (project.root / "recipes" / "types.py").write_text("")
    assert list(module_closure(project.root, "recipes.base")) == [
        "recipes/__init__.py",
        "recipes/base.py",
        "recipes/helper.py",
    ]


def test_explain_names_the_input_that_changed() -> None:
    old = {"params": {"hostname": "a"}, "files": {"x": "644 1"}, "debs": {"s": {"p": "1"}}}
    new = {"params": {"hostname": "b"}, "files": {"x": "644 1", "y": "644 2"}, "debs": {"s": {}}}
    assert explain(old, new) == ["debs s p: gone", "files y: new", 'params hostname: "a" -> "b"']
    assert explain(None, new) == ["never built for this image in this store"]
    assert explain(new, new) == []


def test_a_link_is_hashed_by_its_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert hash_path(tmp_path / "link") == "link nowhere"
