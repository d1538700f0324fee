# SPDX-License-Identifier: MIT
"""The other side of mcp_net.ko on the host: frames over QEMU's `-netdev stream`, by docs/network.md alone.

ChaCha20-Poly1305 is OpenSSL's (the cryptography package, which paramiko brings), BLAKE2s Python's own: neither shares
code with the module or with its test in C.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import struct
import time
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

ETHERTYPE = b"\xfa\xf0"
HELLO1, HELLO2, CONFIRM, DATA = 1, 2, 3, 4
REQUEST, RESPONSE = 1, 2
HEADER = struct.Struct("<BBHIQ")
MESSAGE = struct.Struct("<BBHIHHIQQII")
KERNEL = 1
#: A frame on the stream: its length in network order, then its bytes [QEMU: net/stream.c].
LENGTH = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Answer:
    """A RESPONSE: the cookie of the request, the errno if the kernel made it, the body."""

    cookie: int
    status: int
    body: bytes


@dataclass
class Wire:
    """Ethernet frames through a listening socket that QEMU connects to."""

    listener: socket.socket
    connection: socket.socket | None = None
    buffer: bytes = b""

    def send(self, frame: bytes) -> None:
        assert self.connection is not None
        self.connection.sendall(LENGTH.pack(len(frame)) + frame)

    def receive(self, seconds: float) -> bytes | None:
        """The next frame, or None."""
        if self.connection is None:
            self.listener.settimeout(seconds)
            self.connection, _ = self.listener.accept()
        until = time.monotonic() + seconds
        while True:
            if len(self.buffer) >= LENGTH.size:
                (size,) = LENGTH.unpack_from(self.buffer)
                if len(self.buffer) >= LENGTH.size + size:
                    frame = self.buffer[LENGTH.size : LENGTH.size + size]
                    self.buffer = self.buffer[LENGTH.size + size :]
                    return frame
            left = until - time.monotonic()
            if left <= 0:
                return None
            self.connection.settimeout(left)
            with contextlib.suppress(TimeoutError):
                data = self.connection.recv(65536)
                assert data, "QEMU has closed the stream"
                self.buffer += data


def nonce(counter: int) -> bytes:
    return bytes(4) + counter.to_bytes(8, "little")


def keyed(key: bytes, label: str, size: int, *parts: bytes) -> bytes:
    made = hashlib.blake2s(label.encode().ljust(16, b"\0"), key=key, digest_size=size)
    for part in parts:
        made.update(part)
    return made.digest()


@dataclass
class Peer:
    """One end of sessions with `theirs`, from the address `own`."""

    wire: Wire
    own: bytes
    theirs: bytes
    key: bytes
    id: int = 0
    their_id: int = 0
    sent: int = 0
    limits: tuple[int, ...] = ()
    _tx: ChaCha20Poly1305 | None = field(default=None, repr=False)
    _rx: ChaCha20Poly1305 | None = field(default=None, repr=False)

    def _head(self, kind: int, session: int, counter: int) -> bytes:
        return self.theirs + self.own + ETHERTYPE + HEADER.pack(1, kind, 0, session, counter)

    def _receive(self, kind: int, seconds: float) -> bytes | None:
        """The next frame of ours of that type, to us."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            frame = self.wire.receive(left)
            if frame and frame[:6] == self.own and frame[12:14] == ETHERTYPE and frame[15] == kind:
                return frame
        return None

    def connect(self, continues: int = 0, seconds: float = 5) -> bool:
        """A handshake; whether there is a session."""
        self.id = int.from_bytes(os.urandom(4), "little") | 1
        hello1 = self._head(HELLO1, self.id, 0) + os.urandom(32) + struct.pack("<II", continues, 0)
        hello1 += keyed(self.key, "mcp hello1", 16, hello1)
        self.wire.send(hello1)
        hello2 = self._receive(HELLO2, seconds)
        if hello2 is None:
            return False
        assert len(hello2) == 86
        assert hello2[70:] == keyed(self.key, "mcp hello2", 16, hello2[:70], hello1)
        (self.their_id,) = struct.unpack_from("<I", hello2, 62)
        self._tx = ChaCha20Poly1305(keyed(self.key, "mcp to server", 32, hello1, hello2))
        self._rx = ChaCha20Poly1305(keyed(self.key, "mcp to client", 32, hello1, hello2))
        self.sent = 0
        self.wire.send(self.seal(self._head(CONFIRM, self.their_id, 0), bytes(16)))
        confirm = self._receive(CONFIRM, seconds)
        if confirm is None:
            return False
        self.limits = struct.unpack("<IIII", self.unseal(confirm))
        return True

    def seal(self, head: bytes, text: bytes, direction: int = 0) -> bytes:
        assert self._tx is not None
        (counter,) = struct.unpack_from("<Q", head, 22)
        return head + self._tx.encrypt(nonce(counter), text, head + bytes((direction, 0)))

    def unseal(self, frame: bytes) -> bytes:
        assert self._rx is not None
        (counter,) = struct.unpack_from("<Q", frame, 22)
        try:
            return self._rx.decrypt(nonce(counter), frame[30:], frame[:30] + b"\1\0")
        except InvalidTag as error:
            raise AssertionError("a frame of theirs is not authentic") from error

    def request(self, cookie: int, body: bytes, tool: int = 1, reserve: int = 256) -> bytes:
        """A sealed DATA frame with the next counter."""
        self.sent += 1
        message = MESSAGE.pack(REQUEST, 0, 0, tool, 0, 0, 0, cookie, 0, 0, reserve)
        return self.seal(self._head(DATA, self.their_id, self.sent), message + body)

    def answer(self, seconds: float = 5) -> Answer | None:
        frame = self._receive(DATA, seconds)
        if frame is None:
            return None
        text = self.unseal(frame)
        kind, _, flags, _, _, _, status, cookie, _, _, _ = MESSAGE.unpack_from(text)
        assert kind == RESPONSE
        assert bool(flags & KERNEL) == bool(status)
        return Answer(cookie, status, text[MESSAGE.size :])

    def call(self, cookie: int, body: bytes, tool: int = 1) -> Answer | None:
        self.wire.send(self.request(cookie, body, tool, max(len(body), 64)))
        return self.answer()
