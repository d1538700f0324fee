# SPDX-License-Identifier: MIT
"""Image files: what is wrong is said all at once, with file, line, key and a hint; the texts are golden files.

`PROTOPI_GOLDEN=1 ./build.py test unit` writes the golden files anew; look at the difference before you commit it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from protopi.checks import check_absolute
from protopi.config import Place
from protopi.errors import UserErrors
from protopi.image import Image, load_image
from protopi.project import Project

BAD = sorted((Path(__file__).parent / "bad-images").glob("*.yaml"))
PROJECT = Project.here()


def load(path: Path) -> Image:
    return load_image(str(path), PROJECT.root, PROJECT.boards())


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_image_file_is_refused_with_every_problem_in_the_golden_words(path: Path) -> None:
    with pytest.raises(UserErrors) as caught:
        load(path)
    said = str(caught.value).replace(str(path.parent) + "/", "") + "\n"
    golden = path.with_suffix(".expected")
    if os.environ.get("PROTOPI_GOLDEN"):
        golden.write_text(said)
    assert said == golden.read_text()
    assert caught.value.exit_code == 2


def test_every_problem_of_the_wrong_types_is_named_at_once() -> None:
    with pytest.raises(UserErrors) as caught:
        load(Path(__file__).parent / "bad-images" / "wrong-types.yaml")
    keys = {problem.key for problem in caught.value.problems}
    assert keys >= {
        "hostname",
        "packages",
        "console_shell",
        "partitions.data",
        "wifi.country",
        "services.robot.restart",
    }
    assert all(problem.where.count(":") == 1 for problem in caught.value.problems)


@pytest.mark.parametrize("name", PROJECT.images())
def test_the_projects_own_images_can_be_read(name: str) -> None:
    assert PROJECT.image(name).name == name


def test_extends_merges_mappings_appends_lists_and_replaces_the_rest(tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    base.write_text("board: pi4\nhostname: base\npackages: [a1]\nkernel: {variant: debug, cmdline: [x]}\n")
    image = load(write(tmp_path, "extends: base.yaml\nhostname: mine\npackages: [b2]\nkernel: {cmdline: [y]}\n"))
    assert (image.hostname, image.packages) == ("mine", ("a1", "b2"))
    assert (image.kernel.variant, image.kernel.cmdline) == ("debug", ("x", "y"))


def test_a_path_is_relative_to_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "hat.dtso").write_text("/dts-v1/;")
    (tmp_path / "base" / "base.yaml").write_text("board: pi4\noverlays: [hat.dtso]\n")
    image = load(write(tmp_path, "extends: base/base.yaml\n"))
    assert image.overlays == (tmp_path / "base" / "hat.dtso",)


@pytest.mark.parametrize(
    ("text", "size"), [("64M", 64 << 20), ("1G", 1 << 30), ("8192KiB", 8 << 20), ("16777216", 16 << 20)]
)
def test_sizes_are_powers_of_1024(tmp_path: Path, text: str, size: int) -> None:
    assert load(write(tmp_path, f"board: pi4\npartitions: {{data: {text}}}\n")).partitions.data == size


def test_a_name_that_looks_like_a_number_asks_for_quotes(tmp_path: Path) -> None:
    with pytest.raises(UserErrors, match='write it in quotes: "42"'):
        load(write(tmp_path, "board: pi4\ntimezone: 42\n"))


def test_an_image_that_does_not_exist_suggests_one() -> None:
    with pytest.raises(UserErrors, match="did you mean `pi4`"):
        load_image("p4", PROJECT.root, PROJECT.boards())


def test_an_alias_that_contains_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserErrors, match="contains itself"):
        load(write(tmp_path, "board: pi4\nservices: &a\n  x: *a\n"))


@pytest.mark.parametrize("path", ["etc/motd", "/", "/etc/../root", "/etc//motd", "/etc/"])
def test_a_path_in_the_image_is_absolute_and_plain(path: str) -> None:
    assert check_absolute(path)
    assert not check_absolute("/etc/motd")


def test_a_place_is_written_as_editors_read_it() -> None:
    assert str(Place(Path("a.yaml"), 3)) == "a.yaml:3"
