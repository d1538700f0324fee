# SPDX-License-Identifier: MIT
"""Fetching: a file is trusted by its hash alone, whatever a mirror sends; nothing is half-written."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from protopi import fetch as fetch_module
from protopi.errors import InfraError, UserError
from protopi.fetch import fetch
from protopi.lock import Locked
from protopi.mirrors import find_mirrors
from protopi.store import Store

BODY = b"a package, or so it says\n" * 1000


class Mirror(http.server.BaseHTTPRequestHandler):
    """Sends what `answers` says for a path: bytes, or a status; a short body when it is told to hang up."""

    answers: ClassVar[dict[str, bytes | int]] = {}
    asked: ClassVar[list[str]] = []
    hang_up_after: ClassVar[int | None] = None

    def do_GET(self) -> None:
        self.asked.append(self.path)
        answer = self.answers.get(self.path, 404)
        if isinstance(answer, int):
            self.send_error(answer)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer[: self.hang_up_after])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def package(body: bytes = BODY, name: str = "tool", path: str = "pool/main/t/tool_1%3a1~2+b1_amd64.deb") -> Locked:
    return Locked(name, "1:1~2+b1", "amd64", len(body), hashlib.sha256(body).hexdigest(), path)


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Mirror]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Mirror.answers, Mirror.asked, Mirror.hang_up_after = {}, [], None
    base = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("PROTOPI_MIRROR", f"{base}/debian {base}/debian-security {base}/snapshot")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(fetch_module, "_TRIES", 2)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    yield Mirror
    server.shutdown()
    thread.join()
    server.server_close()


def url(base: str) -> str:
    return f"/{base}/pool/main/t/tool_1%253a1~2+b1_amd64.deb"


def left_over(store: Store) -> list[Path]:
    return list((store.root / "tmp").iterdir())


def test_a_package_is_fetched_once_and_found_afterwards(store: Store, mirror: type[Mirror]) -> None:
    mirror.answers[url("debian")] = BODY
    one = package()
    progress: list[tuple[int, int]] = []
    assert fetch(store, [one, one], progress=lambda done, total: progress.append((done, total))) == len(BODY)
    assert store.take_file(one.sha256)
    assert progress[-1] == (len(BODY), len(BODY))
    assert fetch(store, [one]) == 0
    assert len(mirror.asked) == 1
    assert left_over(store) == []


@pytest.mark.parametrize("sent", [b"", BODY[:-1], BODY + b"x", b"x" * len(BODY), b"<html>moved</html>"])
def test_a_wrong_body_is_refused_and_leaves_nothing(store: Store, mirror: type[Mirror], sent: bytes) -> None:
    for base in ("debian", "debian-security", "snapshot"):
        mirror.answers[url(base)] = sent
    with pytest.raises(InfraError, match="tool") as caught:
        fetch(store, [package()])
    assert "what came is not" in str(caught.value)
    assert store.take_file(package().sha256) is None
    assert left_over(store) == []


def test_a_connection_that_breaks_off_is_refused(store: Store, mirror: type[Mirror]) -> None:
    mirror.answers[url("debian")] = BODY
    mirror.hang_up_after = 100
    with pytest.raises(InfraError, match="tool"):
        fetch(store, [package()])
    assert left_over(store) == []


def test_the_next_mirror_is_asked_when_one_sends_rubbish(store: Store, mirror: type[Mirror]) -> None:
    mirror.answers[url("debian")] = b"rubbish"
    mirror.answers[url("snapshot")] = BODY
    assert fetch(store, [package()]) == len(BODY)


def test_versions_that_no_mirror_has_are_all_named_and_never_substituted(store: Store, mirror: type[Mirror]) -> None:
    other = package(b"other", "other", "pool/o/other_1_amd64.deb")
    mirror.answers["/debian/pool/main/t/tool_2_amd64.deb"] = BODY
    with pytest.raises(InfraError, match="lock --update") as caught:
        fetch(store, [package(), other])
    assert "other 1:1~2+b1, tool 1:1~2+b1" in str(caught.value)
    assert caught.value.exit_code == 5


def test_offline_names_what_is_missing_and_asks_nobody(store: Store, mirror: type[Mirror]) -> None:
    with pytest.raises(InfraError, match="--offline forbids fetching: tool"):
        fetch(store, [package()], offline=True)
    assert mirror.asked == []


def test_no_network_is_infrastructure(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROTOPI_MIRROR", "http://127.0.0.1:9/debian")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(fetch_module, "_TRIES", 1)
    with pytest.raises(InfraError, match="could not be fetched"):
        fetch(store, [package()])


def test_a_mirror_that_is_no_address_is_the_users_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROTOPI_MIRROR", "mirror.local/debian")
    with pytest.raises(UserError, match="not an address"):
        find_mirrors()
    monkeypatch.setenv("PROTOPI_MIRROR", "http://mirror.local/debian-security")
    with pytest.raises(UserError, match="security archive only"):
        find_mirrors()


def test_security_updates_are_asked_of_the_security_archive_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROTOPI_MIRROR", "http://mirror.local/debian http://mirror.local/debian-security")
    mirrors = find_mirrors()
    assert mirrors.bases("pool/updates/main/x")[0].endswith("-security")
    assert mirrors.bases("pool/main/x")[0].endswith("/debian")
