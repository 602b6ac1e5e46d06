"""Backends that answer every request with its method and target, and record what they saw.

Three readers of HTTP/1.1 that agree on little but what is valid: nginx, Python's lenient
http.server, and one that takes nothing which RFC 9112 leaves open.
"""

import dataclasses
import http.server
import json
import pathlib
import re
import selectors
import shutil
import socket
import subprocess
import tempfile
import threading

from instance import free_ports
from waiting import wait_until

LIMIT_S = 10  # of any wait

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE = re.compile(rb"(%s) ([\x21-\x7e]+) HTTP/1\.([01])" % TOKEN)
HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade",
              b"transfer-encoding", b"content-length", b"host"}
FIELD = re.compile(rb"(%s):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*" % TOKEN)


class Malformed(Exception):
    """Not a message as RFC 9112 has it."""


class Incomplete(Exception):
    """More bytes are needed."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """A request, complete with its body."""

    method: str
    target: str
    body: bytes = b""

    def answer(self):
        return f"{self.method} {self.target}".encode()


# ------------------------------------------------------------------------------- strict reading


def take_line(data, at):
    """(line, where the next one begins)."""
    end = data.find(b"\n", at)
    line = data[at:] if end < 0 else data[at:end]
    if b"\r" in line[:-1] or (end >= 0 and not line.endswith(b"\r")):
        raise Malformed(f"a line that does not end in CRLF: {line!r}")
    if end < 0:
        raise Incomplete
    return line[:-1], end + 1


def take_fields(data, at):
    """({lower-case name: [value]}, where the body begins)."""
    fields = {}
    while True:
        line, at = take_line(data, at)
        if not line:
            return fields, at
        match = FIELD.fullmatch(line)
        if not match:
            raise Malformed(f"no field line: {line!r}")
        fields.setdefault(match[1].lower(), []).append(match[2])


def take_bytes(data, at, length):
    if len(data) < at + length:
        raise Incomplete
    return data[at:at + length], at + length


def take_chunks(data, at):
    body = b""
    while True:
        line, at = take_line(data, at)
        if not re.fullmatch(rb"[0-9a-fA-F]{1,15}", line):
            raise Malformed(f"no size of a chunk: {line!r}")
        if int(line, 16) == 0:
            trailers, at = take_fields(data, at)
            # A reader that puts trailers among the fields would act on these.
            if not HOP_BY_HOP.isdisjoint(trailers):
                raise Malformed(f"trailers that nobody forwards: {trailers}")
            return body, at
        piece, at = take_bytes(data, at, int(line, 16))
        end, at = take_bytes(data, at, 2)
        if end != b"\r\n":
            raise Malformed(f"a chunk that ends in {end!r}")
        body += piece


def take_body(data, at, fields):
    """(body, where the next message begins); None where the fields announce no body."""
    lengths, codings = fields.get(b"content-length", []), fields.get(b"transfer-encoding", [])
    if len(lengths) + len(codings) > 1:
        raise Malformed(f"framed twice: {lengths} {codings}")
    if codings:
        if codings[0].lower() != b"chunked":
            raise Malformed(f"unknown coding {codings[0]!r}")
        return take_chunks(data, at)
    if lengths:
        if not re.fullmatch(rb"[0-9]{1,19}", lengths[0]):
            raise Malformed(f"no length: {lengths[0]!r}")
        return take_bytes(data, at, int(lengths[0]))
    return None, at


def take_request(data):
    """(Seen, bytes it took)."""
    line, at = take_line(data, 0)
    match = REQUEST_LINE.fullmatch(line)
    if not match:
        raise Malformed(f"no request line: {line!r}")
    fields, at = take_fields(data, at)
    if len(fields.get(b"host", [])) != 1:
        raise Malformed(f"not one Host: {fields}")
    body, at = take_body(data, at, fields)
    return Seen(match[1].decode(), match[2].decode(), body or b""), at


def take_answers(data, methods):
    """[(status, body)] of all final responses in `data`, to requests of these methods."""
    answers, at, methods = [], 0, list(methods)
    while at < len(data):
        line, at = take_line(data, at)
        match = re.fullmatch(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [ -~]*", line)
        if not match:
            raise Malformed(f"no status line: {line!r}")
        status = int(match[1])
        fields, at = take_fields(data, at)
        if status == 100:
            continue
        body = b""
        if (methods.pop(0) if methods else "") != "HEAD" or status >= 300:
            body, at = take_body(data, at, fields)
            if body is None:
                body, at = data[at:], len(data)
        answers.append((status, body))
    return answers


# ------------------------------------------------------------------------------- backends


class StrictBackend:
    """Says of everything unclear what is wrong with it, and keeps every byte.

    One thread reads all connections that have something before it answers any: with the answer to
    the latest request, all that was sent before has been recorded.
    """

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.seen, self.wrong, self.received = [], [], b""
        self.poll = selectors.DefaultSelector()
        self.poll.register(self.listener, selectors.EVENT_READ, None)
        self.closing, self.told = socket.socketpair()
        self.poll.register(self.told, selectors.EVENT_READ, None)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def before(self, last):
        """All that came but `last`, which has been answered."""
        return [seen for seen in self.seen if seen != last]

    def complaint(self):
        """What no proxy should have sent, or None."""
        if self.wrong:
            return f"malformed: {self.wrong}"
        # A part of a body that breaks off may have come; nothing from behind the break.
        whole = sum((seen.answer() + seen.body).count(b"/smuggled") for seen in self.seen)
        return "smuggled bytes came" if self.received.count(b"/smuggled") > whole else None

    def forget(self):
        self.seen, self.wrong, self.received = [], [], b""

    def _run(self):
        while True:
            answers = []
            for key, _ in self.poll.select():
                if key.fileobj is self.told:
                    return
                if key.fileobj is self.listener:
                    connection = self.listener.accept()[0]
                    self.poll.register(connection, selectors.EVENT_READ, bytearray())
                else:
                    answers += [(key.fileobj, seen) for seen in self._read(key.fileobj, key.data)]
            for connection, seen in answers:
                self._answer(connection, seen)

    def _read(self, connection, buffer):
        """The requests that are complete now."""
        try:
            data = connection.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        self.received += data
        buffer += data
        complete = []
        try:
            while buffer:
                seen, length = take_request(bytes(buffer))
                del buffer[:length]
                complete.append(seen)
        except Incomplete:
            pass
        except Malformed as error:
            self.wrong.append(str(error))
            data = b""
        self.seen += complete
        if not data:
            self.poll.unregister(connection)
            connection.close()
        return complete

    def _answer(self, connection, seen):
        body = b"" if seen.method == "HEAD" else seen.answer()
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" %
                               (len(seen.answer()), body))
        except OSError:
            pass  # closed, or given up by the proxy

    def close(self):
        self.closing.close()
        self.thread.join(LIMIT_S)
        for key in list(self.poll.get_map().values()):
            key.fileobj.close()
        self.poll.close()


class PythonBackend:
    """http.server, whose parser of fields is that of mail and takes nearly everything."""

    def __init__(self):
        self.seen = []
        backend = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one write

            def __getattr__(self, name):
                if name.startswith("do_"):
                    return self.answer
                raise AttributeError(name)

            def read_length(self, length):
                body = b""
                while piece := self.rfile.read1(min(length - len(body), 1 << 16)):
                    body += piece
                return body if len(body) == length else None

            def read_body(self):
                if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
                    return self.read_length(int(self.headers.get("Content-Length", 0)))
                body = b""
                while (size := int(self.rfile.readline().split(b";")[0] or b"-1", 16)) > 0:
                    body += self.rfile.read(size)
                    self.rfile.readline()
                while (line := self.rfile.readline()).strip():
                    pass
                return body if size == 0 and line else None

            def answer(self):
                body = self.read_body()
                if body is None:  # broken off
                    self.close_connection = True
                    return
                seen = Seen(self.command, self.path, body)
                backend.seen.append(seen)
                self.send_response(200)
                self.send_header("Content-Length", str(len(seen.answer())))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(seen.answer())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def before(self, last):
        return [seen for seen in self.seen if seen != last]

    def complaint(self):
        return None

    def forget(self):
        self.seen = []

    def close(self):
        self.server.shutdown()
        self.server.server_close()


# The outer server has a body read to its end before the inner one answers.
NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid;
events {{ worker_connections 256; }}
http {{
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  keepalive_requests 1000000; keepalive_timeout 600s;
  client_max_body_size 0; client_body_buffer_size 256k; client_body_in_single_buffer on;
  log_format seen escape=json '{{"status":"$status","line":"$request","method":"$request_method",'
                              '"target":"$request_uri","body":"$request_body"}}';
  server {{
    listen 127.0.0.1:{port}; access_log syslog:server=unix:{folder}/log seen;
    location / {{ proxy_pass http://unix:{folder}/inner; }}
  }}
  server {{
    listen unix:{folder}/inner; access_log off; default_type text/plain;
    location / {{ return 200 "$request_method $request_uri"; }}
  }}
}}
"""


class Nginx:
    """nginx with a configuration of its own, in which {folder} and {port} are filled in."""

    def __init__(self, configuration):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tulle-e2e-nginx-", dir="/tmp"))
        (self.port,) = free_ports(1)
        (self.folder / "config").write_text(
            configuration.format(folder=self.folder, port=self.port))

    def start(self):
        with open(self.folder / "error", "wb") as errors:
            self.process = subprocess.Popen(
                ["nginx", "-p", self.folder, "-c", self.folder / "config", "-e", "stderr"],
                stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        wait_until(self._listens, LIMIT_S, f"nginx listens ({self.folder}/error)")

    def _listens(self):
        socket.create_connection(("127.0.0.1", self.port), 1).close()
        return True

    def close(self):
        self.process.kill()
        self.process.wait(LIMIT_S)
        shutil.rmtree(self.folder)


class NginxBackend(Nginx):
    """What it saw is what it logs as answered with 200, to a socket: there it can be waited for."""

    def __init__(self):
        super().__init__(NGINX)
        self.lines = []
        self.log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.log.settimeout(LIMIT_S)
        self.log.bind(str(self.folder / "log"))
        self.start()

    def forget(self):
        self.lines = []

    def before(self, last):
        seen = []
        while last not in seen:
            line = self.log.recv(1 << 16).decode("latin-1")
            self.lines.append(json.loads(line[line.index("{"):]))
            seen = [Seen(line["method"], line["target"], line["body"].encode("latin-1"))
                    for line in self.lines if line["status"] == "200"]
        seen.remove(last)
        return seen

    def complaint(self):
        refused = [line for line in self.lines
                   if "/smuggled" in line["line"] and line["status"] != "200"]
        return f"refused here: {refused}" if refused else None

    def close(self):
        super().close()
        self.log.close()
