"""A client of NATS over its plain text protocol; knows what the tests need."""

import json
import socket

LIMIT_S = 10  # of connecting and of each wait, unless told


class NatsClient:
    """One connection; `server` is the name of the server it leads to. Its end is an OSError."""

    def __init__(self, port):
        self.received = b""
        self.socket = socket.create_connection(("127.0.0.1", port), LIMIT_S)
        # The server speaks first.
        self.server = json.loads(self._line_after("INFO "))["server_name"]
        self._send('CONNECT {"verbose":false,"pedantic":false,"name":"test"}')
        self.flush()

    def close(self):
        self.socket.close()

    def flush(self):
        """Returns when the server has seen all that was sent."""
        self._send("PING")
        self._line_after("PONG")

    def subscribe(self, subject):
        self._send(f"SUB {subject} 1")
        self.flush()

    def publish(self, subject, text):
        self._send(f"PUB {subject} {len(text.encode())}\r\n{text}")

    def receive(self, limit_s=LIMIT_S):
        """The next message's text. Error: TimeoutError."""
        self.socket.settimeout(limit_s)
        self._line_after("MSG ")
        return self._line()  # the tests' messages have no line ends

    def _send(self, command):
        self.socket.sendall(command.encode() + b"\r\n")

    def _line_after(self, start):
        """The rest of the next line that begins with `start`; answers the server's pings."""
        while True:
            line = self._line()
            if line.startswith(start):
                return line.removeprefix(start)
            if line.startswith("PING"):
                self._send("PONG")
            elif line.startswith("-ERR"):
                raise ConnectionError(line)

    def _line(self):
        while b"\r\n" not in self.received:
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError("the server has closed the connection")
            self.received += data
        line, self.received = self.received.split(b"\r\n", 1)
        return line.decode()
