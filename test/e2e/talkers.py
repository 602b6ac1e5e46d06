"""Clients of several protocols that talk all the time and account for every word."""

import base64
import os
import socket
import struct

import grpc

from load import Threads

LIMIT_S = 10  # of any answer


class Talkers(Threads):
    """Each thread runs talk() again and again; what that raises is kept in `failures`, and `done`
    counts what went well.
    """

    def __init__(self, count):
        super().__init__(count)
        self.done = 0
        self.failures = []

    def _run(self):
        while not self._stopping.is_set():
            try:
                self.talk()
            except (OSError, AssertionError, EOFError, grpc.RpcError) as error:
                with self._lock:
                    self.failures.append(repr(error)[:300])
                self._stopping.wait(0.1)
            else:
                with self._lock:
                    self.done += 1

    def talk(self):
        raise NotImplementedError


class GrpcCallers(Talkers):
    """Unary calls, all over one channel."""

    def __init__(self, port, count):
        super().__init__(count)
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._echo = self._channel.unary_unary("/test.Echo/Say")

    def talk(self):
        assert self._echo(b"word", timeout=LIMIT_S) == b"word"

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        self._channel.close()


class WebSockets(Talkers):
    """Sessions of `messages` echoed messages with a pause after each, closed in good order."""

    def __init__(self, port, host, count, messages=5, pause_s=0.2):
        super().__init__(count)
        self._port = port
        self._host = host
        self._messages = messages
        self._pause_s = pause_s

    def talk(self):
        with socket.create_connection(("127.0.0.1", self._port), LIMIT_S) as connection:
            connection.sendall(
                f"GET /chat HTTP/1.1\r\nHost: {self._host}\r\nConnection: Upgrade\r\n"
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                f"{base64.b64encode(os.urandom(16)).decode()}\r\n\r\n".encode())
            stream = connection.makefile("rb")
            status = stream.readline()
            assert b" 101 " in status, status
            while stream.readline() not in (b"\r\n", b""):
                pass
            for number in range(self._messages):
                if self._stopping.is_set():
                    break
                word = f"message {number}".encode()
                connection.sendall(frame(1, word))
                assert read_frame(stream) == (1, word)
                self._stopping.wait(self._pause_s)
            connection.sendall(frame(8, struct.pack("!H", 1000)))
            assert read_frame(stream)[0] == 8


def frame(opcode, payload):
    """A final frame as a client sends it (RFC 6455, section 5.2); of less than 126 bytes."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked


def read_frame(stream):
    """(opcode, payload) of a server's short frame."""
    head = stream.read(2)
    if len(head) < 2:
        raise EOFError("the WebSocket was cut")
    return head[0] & 0x0F, stream.read(head[1])


class PlainConnections(Talkers):
    """TCP connections that each carry `lines` exchanges with a pause after each; what goes over
    them is requests of HTTP/1.1, which the proxy is not to know."""

    REQUEST = b"GET / HTTP/1.1\r\nHost: plain\r\n\r\n"
    BODY = b"done\n"

    def __init__(self, port, count, lines=20, pause_s=0.05):
        super().__init__(count)
        self._port = port
        self._lines = lines
        self._pause_s = pause_s

    def talk(self):
        with socket.create_connection(("127.0.0.1", self._port), LIMIT_S) as connection:
            stream = connection.makefile("rb")
            for _ in range(self._lines):
                connection.sendall(self.REQUEST)
                status = stream.readline()
                assert b" 200 " in status, status
                while stream.readline() not in (b"\r\n", b""):
                    pass
                assert stream.read(len(self.BODY)) == self.BODY
                self._stopping.wait(self._pause_s)
