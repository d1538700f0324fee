# SPDX-License-Identifier: MIT
"""The GitHub Action, the examples for CI and the devcontainer do what docs/ci.md says.

Their steps are run here, with stand-ins for what they call; each command line of ours goes through the real parser.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from protopi import bootstrap, store
from protopi.commands import doctor
from tests import ci_player
from tests.ci_player import ROOT, Played, Player, accept, load
from tests.conftest import InTools

ACTION = ROOT / "action.yml"
EXAMPLES = ROOT / "examples" / "ci"
GITHUB, GITLAB, FLASH = EXAMPLES / "github.yml", EXAMPLES / "gitlab-ci.yml", EXAMPLES / "flash.sh"
DEVCONTAINER = ROOT / ".devcontainer" / "devcontainer.json"
GUIDE = ROOT / "docs" / "ci.md"
ROBOT = {"image": "robot.yaml", "cache-key": "abc"}


@pytest.fixture
def player(tmp_path: Path) -> Player:
    return Player(tmp_path)


def play(player: Player, given: dict[str, str] | None = None, *, text: str = "", **how: bool) -> Played:
    return ci_player.play(load(text or ACTION.read_text()), player, ROBOT if given is None else given, **how)


def steps() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = load(ACTION.read_text())["runs"]["steps"]
    return found


def restored(player: Player) -> list[dict[str, str]]:
    """What the action asks the cache for; nothing is built."""
    action = load(ACTION.read_text())
    action["runs"]["steps"] = [step for step in steps() if "build.py" not in step.get("run", "")]
    return [given for name, given in ci_player.play(action, player, ROBOT).uses if name == RESTORE]


def verbs(player: Player) -> list[str]:
    """The verbs that were called, with the action of `board`."""
    return [" ".join(words[:2] if words[0] == "board" else words[:1]) for words in player.called("build.py")]


def used(played: Played) -> list[str]:
    return [name for name, _ in played.uses]


RESTORE, SAVE, UPLOAD = "actions/cache/restore", "actions/cache/save", "actions/upload-artifact"


# --- the action ------------------------------------------------------------------------------------------------------


def test_the_action_builds_gates_and_reports(player: Player) -> None:
    played = play(player)
    assert played.failed == 0, played.said
    assert verbs(player) == ["doctor", "image", "gate"]
    assert used(played) == [RESTORE, RESTORE, SAVE, SAVE, UPLOAD, UPLOAD]
    assert played.summary == "markdown of gate\n\n"
    reports = Path(played.outputs["names"]["reports"])
    assert sorted(path.name for path in reports.iterdir()) == ["gate.json", "gate.md", "gate.xml"]
    report, image = played.uses[-2][1], played.uses[-1][1]
    assert (report["name"], report["path"]) == ("protopi-report-robot", str(reports))
    assert image["name"] == "protopi-image-robot"
    assert all(Path(name).is_file() for name in image["path"].split())
    assert [Path(name).name for name in image["path"].split()] == ["robot.img.zst", "robot.bmap", "manifest.json"]


def test_a_store_that_was_kept_is_not_kept_again(player: Player) -> None:
    assert used(play(player, hit=True)) == [RESTORE, RESTORE, UPLOAD, UPLOAD]
    assert used(play(player, {**ROBOT, "cache": "false"})) == [UPLOAD, UPLOAD]


def test_an_image_that_fails_its_gate_is_not_handed_out_but_its_report_is(player: Player) -> None:
    player.env["CI_FAIL_GATE"] = "4"
    played = play(player)
    assert played.failed == 4
    assert played.summary == "markdown of gate\n\n"
    assert used(played) == [RESTORE, RESTORE, SAVE, SAVE, UPLOAD]
    assert played.uses[-1][1]["name"] == "protopi-report-robot"


@pytest.mark.parametrize(("verb", "status"), [("doctor", 5), ("image", 3)])
def test_without_a_verdict_the_summary_says_so(verb: str, status: int, player: Player) -> None:
    player.env[f"CI_FAIL_{verb.upper()}"] = str(status)
    played = play(player)
    assert played.failed == status
    assert "gate" not in verbs(player)
    assert SAVE not in used(played)
    assert played.summary == "## No verdict: robot was not gated, the log says why\n"


def test_a_board_is_flashed_and_gated_on_a_machine_that_is_left_as_it_is(player: Player) -> None:
    (player.work / "flash.sh").write_text(FLASH.read_text())
    (player.work / "flash.sh").chmod(0o755)
    given = {**ROBOT, "board": "boards/robot-1.yaml", "flash": "./flash.sh", "board-boots": "7"}
    played = play(player, given, hosted=False)
    assert played.failed == 0, played.said
    assert verbs(player) == ["doctor", "image", "gate", "flash", "board gate"]
    assert player.called("sudo") == []
    assert used(played) == [UPLOAD, UPLOAD]
    flashed = accept(player.called("build.py")[3])
    assert Path(flashed.image) == player.project / "out" / "robot" / "robot.img"
    gated = accept(player.called("build.py")[4])
    assert (flashed.board, gated.name, gated.image, gated.boots) == (given["board"], given["board"], "robot", 7)
    assert played.summary == "markdown of gate\n\nmarkdown of board gate\n\n"
    assert played.uses[0][1]["name"] == "protopi-report-robot-on-robot-1"
    assert {"board.json", "board.xml", "board.html"} <= {path.name for path in Path(gated.json).parent.iterdir()}


def test_nothing_is_flashed_without_a_board(player: Player) -> None:
    played = play(player, {**ROBOT, "flash": "./flash.sh"}, hosted=False)
    assert played.failed == 0, played.said
    assert verbs(player) == ["doctor", "image", "gate"]


def test_a_board_that_fails_is_seen_in_the_summary(player: Player) -> None:
    player.env["CI_FAIL_BOARD_GATE"] = "4"
    played = play(player, {**ROBOT, "board": "robot-1"}, hosted=False)
    assert played.failed == 4
    assert "flash" not in verbs(player)
    assert "markdown of board gate" in played.summary
    assert used(played) == [UPLOAD]


def test_a_hosted_machine_gets_what_doctor_asks_for(player: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    play(player)
    called = [" ".join(words) for words in player.called("sudo")]
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    packages = sorted(need.package for need in bootstrap.host_needs())
    assert f"apt-get install --yes --no-install-recommends {' '.join(packages)}" in called
    restricted = player.folder / "restricted"
    restricted.write_text("1\n")
    monkeypatch.setattr(doctor, "_RESTRICTION", restricted)
    allow = "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    ids = "--add-subuids 100000-165535 --add-subgids 100000-165535"
    assert allow in doctor._advice()
    assert any(allow in step.get("run", "") for step in steps())
    assert f"usermod {ids} nobody-here" in called
    assert ids in Path(doctor.__file__).read_text()


def test_an_input_is_never_a_program(player: Player) -> None:
    assert [step for step in steps() if "${{" in step.get("run", "")] == []
    word = "$(touch pwned)`touch pwned`;touch pwned #.yaml"
    play(player, {"image": word})
    assert not (player.work / "pwned").exists()
    assert player.called("build.py")[1][1] == word


def test_every_input_is_declared_and_used() -> None:
    action = load(ACTION.read_text())
    names = set(re.findall(r"inputs\.([\w-]+)", json.dumps(action["runs"])))
    assert names == set(action["inputs"])
    assert all(one["description"].endswith(".") for one in action["inputs"].values())
    guide = GUIDE.read_text()
    assert [name for name in names if f"`{name}`" not in guide] == []
    assert all(step.get("shell") == "bash" for step in action["runs"]["steps"] if "run" in step)


def test_what_is_kept_is_the_store_s_own(player: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    for settings in ({}, {"XDG_CACHE_HOME": "/somewhere"}, {"PROTOPI_STORE": "/elsewhere/store"}):
        for name in ("XDG_CACHE_HOME", "PROTOPI_STORE"):
            monkeypatch.delenv(name, raising=False)
            player.env.pop(name, None)
        monkeypatch.setenv("HOME", player.env["HOME"])
        for name, text in settings.items():
            monkeypatch.setenv(name, text)
            player.env[name] = text
        kept = [Path(line) for given in restored(player) for line in given["path"].split()]
        assert sorted(path.name for path in kept) == ["builds", "cache", "files"]
        assert {path.parent for path in kept} == {store.default_store()}
    assert {"builds", "cache", "files"} <= set(store.DIRECTORIES)


def test_the_store_is_kept_by_what_the_slow_steps_are_made_from(player: Player) -> None:
    def keys() -> list[str]:
        return [given["key"] for given in restored(player)]

    first = keys()
    assert all("robot" in key and key.endswith("-abc") for key in first)
    (player.project / "recipes" / "__pycache__").mkdir()
    (player.project / "recipes" / "__pycache__" / "kernel.pyc").write_text("x")
    (player.project / "README.md").write_text("x")
    assert keys() == first
    for changed in ("protopi.lock", "recipes/kernel.py", "kernel-config/base.config"):
        (player.project / changed).write_text("changed\n")
        assert set(keys()).isdisjoint(first)
        first = keys()


def test_a_store_that_went_through_an_archive_is_believed(tmp_path: Path) -> None:
    """As GitHub's cache does it: packed, removed, unpacked by tar without the option that restores every mode."""
    said: list[str] = []
    kept = store.Store(tmp_path / "store", said.append)
    made = tmp_path / "made"
    (made / "sub").mkdir(parents=True)
    (made / "sub" / "program").write_text("#!/bin/sh\n")
    (made / "sub" / "program").chmod(0o755)
    (made / "link").symlink_to("sub/program")
    kept.publish("thing", "k" * 64, made, {}, 1.0)
    archive, builds = tmp_path / "kept.tar", kept.root / "builds"
    subprocess.run(["tar", "--posix", "-cf", archive, "-P", "-C", tmp_path, builds], check=True)
    store.remove_tree(builds)
    subprocess.run(["tar", "-xf", archive, "-P", "--no-same-permissions"], check=True)
    assert kept.get("thing", "k" * 64) is not None
    assert said == []
    next(builds.rglob("program")).write_text("#!/bin/false\n")
    assert kept.get("thing", "k" * 64) is None


# --- other people's actions, and the examples ------------------------------------------------------------------------


def test_actions_of_others_are_pinned_to_one_commit_each() -> None:
    pins: dict[str, set[str]] = {}
    for path in (ACTION, GITHUB):
        for line in re.findall(r"uses: (.*)", path.read_text()):
            if line == "OWNER/protopi@v1":
                continue
            found = re.fullmatch(r"(actions/[\w-]+)(?:/\w+)?@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)", line)
            assert found, line
            pins.setdefault(found[1], set()).add(f"{found[2]} {found[3]}")
    assert set(pins) == {"actions/cache", "actions/checkout", "actions/upload-artifact"}
    assert all(len(versions) == 1 for versions in pins.values()), pins


def test_the_github_example_gives_inputs_that_the_action_has(player: Player) -> None:
    jobs = load(GITHUB.read_text())["jobs"]
    for job in jobs.values():
        given = next(step["with"] for step in job["steps"] if step["uses"] == "OWNER/protopi@v1")
        (player.work / "flash.sh").write_text("#!/bin/sh\n")
        (player.work / "flash.sh").chmod(0o755)
        played = play(player, given, hosted=job["runs-on"] == "ubuntu-24.04")
        assert played.failed == 0, played.said
        assert "timeout-minutes" in job
    assert verbs(player)[-1] == "board gate"
    # Whoever sends a pull request must not run programs beside the board; and two jobs must not share it.
    assert jobs["board"]["if"] == "github.event_name == 'push'"
    assert jobs["board"]["concurrency"] == "robot-1"


def gitlab(player: Player, text: str, job: str) -> subprocess.CompletedProcess[str]:
    """Run a job of a GitLab file in the player's folder."""
    data = load(text)
    one = {**data[".protopi"], **data[job]}
    lines: list[str] = []
    for line in [*one["before_script"], *one["script"]]:
        lines += data[line[0]][line[1]] if isinstance(line, tuple) else [line]
    env = {"PROTOPI_URL": "the repository", "CI_PROJECT_DIR": str(player.work)}
    for name, value in {**data["variables"], **one.get("variables", {})}.items():
        env[name] = value.replace("$CI_PROJECT_DIR", env["CI_PROJECT_DIR"])
    return player.shell("\n".join(lines), env)


@pytest.mark.parametrize(
    ("job", "wanted"),
    [("qemu", ["doctor", "image", "gate"]), ("board", ["doctor", "image", "flash", "board gate"])],
)
def test_the_gitlab_example_builds_gates_and_leaves_its_reports(job: str, wanted: list[str], player: Player) -> None:
    (player.work / "flash.sh").write_text(FLASH.read_text())
    (player.work / "flash.sh").chmod(0o755)
    text = GITLAB.read_text()
    done = gitlab(player, text, job)
    assert done.returncode == 0, done.stderr
    assert verbs(player) == wanted
    data = load(text)
    artifacts = data[".protopi"]["artifacts"]
    for name in artifacts["paths"]:
        assert (player.work / name.replace("$NAME", "robot")).exists(), name
    assert list(player.work.glob(artifacts["reports"]["junit"]))
    folders = [Path(name) for name in data["qemu"]["cache"]["paths"]]
    assert {path.name for path in folders} <= set(store.DIRECTORIES)
    assert {str(path.parent) for path in folders} == {".protopi-store"}
    assert data["board"]["resource_group"] == "robot-1"
    assert data["board"]["dependencies"] == []


def test_containers_get_what_doctor_asks_root_for(player: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    needs = {need.package for need in bootstrap.host_needs()} | {"ca-certificates", "git"}
    assert gitlab(player, GITLAB.read_text(), "qemu").returncode == 0
    container = json.loads(DEVCONTAINER.read_text())
    (player.work / "build.py").symlink_to(player.project / "build.py")
    assert player.shell(container["onCreateCommand"], {}).returncode == 0
    installed = [set(words[1:]) for words in player.called("apt-get") if words[0] == "install"]
    assert len(installed) == 2
    assert all(needs <= words for words in installed)
    assert verbs(player)[-1] == "doctor"
    mount = dict(part.split("=") for part in container["mounts"][0].split(","))
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("PROTOPI_STORE", raising=False)
    assert Path(mount["target"]) == store.default_store()
    assert "privileged" not in container  # `flash` would see the host's disks, and not which of them are mounted


# --- what the checks find --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "wrong"), [("--markdown", "--markdwon"), ("--no-gate", "--nogate"), ('build.py" gate', 'build.py" gat')]
)
def test_an_option_or_verb_that_there_is_not_is_found(right: str, wrong: str, player: Player) -> None:
    text = ACTION.read_text()
    assert right in text
    played = play(player, text=text.replace(right, wrong))
    assert played.failed
    assert wrong.split()[-1] in played.said
    text, right, wrong = GITLAB.read_text(), right.replace('"', ""), wrong.replace('"', "")
    assert right in text
    done = gitlab(player, text.replace(right, wrong), "qemu")
    assert done.returncode
    assert wrong.split()[-1] in done.stderr


def test_an_input_that_there_is_not_is_found(player: Player) -> None:
    with pytest.raises(AssertionError, match=r"does not have: .*imgae"):
        play(player, {"imgae": "robot.yaml"})
    with pytest.raises(KeyError, match=r"inputs\.boot\b"):
        play(player, text=ACTION.read_text().replace("${{ inputs.boots }}", "${{ inputs.boot }}"))


def scripts() -> dict[str, str]:
    """Name -> each shell script of the CI files."""
    found = {f"action-{number}.sh": step["run"] for number, step in enumerate(steps()) if "run" in step}
    data = load(GITLAB.read_text())
    for job in ("qemu", "board"):
        found[f"gitlab-{job}.sh"] = "\n".join(data[job]["script"])
    found["gitlab-common.sh"] = "\n".join(data[".protopi"]["before_script"])
    found["devcontainer.sh"] = json.loads(DEVCONTAINER.read_text())["onCreateCommand"]
    return found


def test_every_script_is_shell(tmp_path: Path) -> None:
    for name, text in {**scripts(), "flash.sh": FLASH.read_text()}.items():
        done = subprocess.run(["bash", "-n", "-c", text], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stderr}"


@pytest.mark.image
def test_every_script_is_clean(in_tools: InTools, tmp_path: Path) -> None:
    for name, text in scripts().items():
        (tmp_path / name).write_text(f"#!/bin/bash\nset -eo pipefail\n{text}\n")
    done = in_tools(["shellcheck", "--shell=bash", *scripts()], tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "bad.sh").write_text("#!/bin/bash\ncat $1\n")
    assert in_tools(["shellcheck", "bad.sh"], tmp_path, check=False).returncode == 1


def test_the_guide_s_commands_are_commands() -> None:
    blocks = "".join(re.findall(r"```[a-z]*\n(.*?)```", GUIDE.read_text(), re.DOTALL))
    inline = re.findall(r"`(\./build\.py [^`]+)`", GUIDE.read_text())
    lines = [line for line in blocks.splitlines() if "build.py " in line] + inline
    assert len(lines) >= 3
    for line in lines:
        words = shlex.split(line.partition("build.py ")[2], comments=True)
        accept(words)
    with pytest.raises(SystemExit):
        accept(["gate", "pi4", "--no-such-option"])
