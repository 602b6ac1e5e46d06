"""Requests that two readers could take for different ones: what the proxy passes means the same to
every backend, and what it refuses takes everything behind it along.

Each case is written to one connection, followed by one more request. Whichever way the case is
read, that request is either answered as one of its own or seen by nobody.
"""

import contextlib
import dataclasses
import itertools
import socket

import pytest

from proxy_alone import ProxyAlone, slice_of
from recorders import LIMIT_S, NginxBackend, PythonBackend, Seen, StrictBackend, take_answers
from waiting import wait_until

BACKENDS = {"nginx": NginxBackend, "python": PythonBackend, "strict": StrictBackend}

HOST = "Host: first"
CHUNKED = "Transfer-Encoding: chunked"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: smuggled\r\nConnection: close\r\n\r\n"
BEHIND = Seen("GET", "/smuggled")
PIECES_MAX = 600  # more pieces of one case take long and find nothing
NUMBERS = itertools.count()


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    sent: bytes
    seen: tuple  # what the backend gets to see of it, all of it answered with 200
    refusal: int = 0  # the last answer, if not 200

    def statuses(self):
        return [200] * len(self.seen) + [self.refusal] * bool(self.refusal)


def text(*lines, body=""):
    """A request of these lines. Characters are bytes."""
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1")


def post(*fields, body=""):
    return text("POST /first HTTP/1.1", HOST, *fields, body=body)


def get(*fields, line="GET /first HTTP/1.1"):
    return text(line, HOST, *fields)


def chunks(body):
    return post(CHUNKED, body=body)


def refused(name, sent, status=400, *, seen=()):
    return Case(name, sent, tuple(seen), status)


def legal(name, sent, *seen):
    return Case(name, sent, (*seen, BEHIND))


def posted(body="", method="POST"):
    return Seen(method, "/first", body.encode("latin-1"))


def got(target="/first", method="GET"):
    return Seen(method, target)


LENGTHS = [
    refused("two lengths, the same", post(*["Content-Length: 5"] * 2, body="hello")),
    refused("two lengths, different",
            post("Content-Length: 0", "Content-Length: 5", body="hello")),
    refused("two lengths, a zero last",
            post("Content-Length: 5", "Content-Length: 0", body="hello")),
    refused("two lengths apart, in other case",
            post("content-length: 0", "X: y", "CONTENT-LENGTH: 5", body="hello")),
    *(refused(f"length {value!r}", post(f"Content-Length: {value}", body="hello"))
      for value in ("5,5", "5, 5", "0, 5", "5,", "-5", "-0", "+5", "0x5", "5 5", "5;", "5.0", "1e1",
                    "5_0", "'5'", '"5"', "\xb2", "\xd9\xa5", "five", "", "0\x0b", "\x0c5",
                    "9223372036854775808", "18446744073709551616", "18446744073709551621",
                    "9" * 400)),
    refused("a length that is folded", post("Content-Length:", " 5", body="hello")),
    refused("a space before a length's colon", post("Content-Length : 5", body="hello")),
    legal("blanks around a length", post("Content-Length: \t 5 \t ", body="hello"),
          posted("hello")),
    legal("no blank before a length", post("Content-Length:5", body="hello"), posted("hello")),
    legal("leading zeroes of a length", post("Content-Length: 0005", body="hello"),
          posted("hello")),
    legal("a length of zero", post("Content-Length: 0"), posted()),
    legal("no length at all", post(), posted()),
    legal("a body that looks like a request",
          post(f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED.decode()),
          posted(SMUGGLED.decode())),
    legal("a GET with a body",
          text("GET /first HTTP/1.1", HOST, "Content-Length: 5", body="hello"),
          posted("hello", "GET")),
    legal("a DELETE with a body",
          text("DELETE /first HTTP/1.1", HOST, "Content-Length: 5", body="hello"),
          posted("hello", "DELETE")),
    legal("a HEAD", get(line="HEAD /first HTTP/1.1"), got(method="HEAD")),
    legal("a length that is spelled otherwise", get("Content_Length: 5", "X-Content-Length: 5",
                                                    "Content-Length-: 5"), got()),
    legal("a length that is named in Connection",
          post("Connection: Content-Length, keep-alive", "Content-Length: 5", body="hello"),
          posted("hello")),
]

EMPTY = "0\r\n\r\n"

CODINGS = [
    refused("length, then coding", post("Content-Length: 6", CHUNKED, body=EMPTY + "G")),
    refused("coding, then length", post(CHUNKED, "Content-Length: 6", body=EMPTY + "G")),
    refused("coding and a length of zero", post("Content-Length: 0", CHUNKED, body=EMPTY)),
    refused("coding and a bad length", post("Content-Length: x", CHUNKED, body=EMPTY)),
    refused("coding and two lengths",
            post(*["Content-Length: 5"] * 2, CHUNKED, body=EMPTY)),
    refused("a length and an unknown coding",
            post("Content-Length: 5", "Transfer-Encoding: xchunked", body="hello")),
    *(refused(f"coding {value!r}", post(f"Transfer-Encoding: {value}", body=EMPTY), 501)
      for value in ("xchunked", "chunkedx", "chunked, identity", "identity, chunked",
                    "chunked, chunked", "identity", "gzip, chunked", "gzip", "chunked,",
                    ",chunked", "chunked;q=1", '"chunked"', "chunk ed", "chunked chunked",
                    "chun\xc4\xb1ked", "\xa0chunked", "cow", "")),
    *(refused(f"coding {value!r}", post(f"Transfer-Encoding: {value}", body=EMPTY))
      for value in ("\x0bchunked", "chunked\x0b", "\x0cchunked", "chunked\0", "\rchunked",
                    "chunked\r", "\nchunked", "\x7fchunked")),
    refused("a coding that is folded", post("Transfer-Encoding:", " chunked", body=EMPTY)),
    refused("a coding that is folded by a tab", post("Transfer-Encoding:", "\tchunked",
                                                     body=EMPTY)),
    refused("a coding folded behind another field",
            post("X: y", " Transfer-Encoding: chunked", body=EMPTY)),
    refused("a space before a coding's colon", post("Transfer-Encoding : chunked", body=EMPTY)),
    refused("a tab before a coding's colon", post("Transfer-Encoding\t: chunked", body=EMPTY)),
    refused("a vertical tab before a coding's colon",
            post("Transfer-Encoding\x0b: chunked", body=EMPTY)),
    refused("a space before a coding", post(" Transfer-Encoding: chunked", body=EMPTY)),
    refused("a byte order mark before a coding",
            post("\xef\xbb\xbfTransfer-Encoding: chunked", body=EMPTY)),
    refused("two codings, the same", post(CHUNKED, CHUNKED, body=EMPTY)),
    refused("two codings, one unknown", post(CHUNKED, "Transfer-Encoding: cow", body=EMPTY)),
    refused("two codings, in other case", post("transfer-encoding: identity",
                                               "TRANSFER-ENCODING: chunked", body=EMPTY)),
    refused("a coding in HTTP/1.0", text("POST /first HTTP/1.0", HOST, CHUNKED, body=EMPTY)),
    refused("a coding and a length in HTTP/1.0",
            text("POST /first HTTP/1.0", HOST, "Connection: keep-alive", "Content-Length: 5",
                 CHUNKED, body=EMPTY)),
    legal("tabs around a coding", post("Transfer-Encoding:\tchunked\t", body=EMPTY), posted()),
    legal("a coding in capitals", post("TRANSFER-ENCODING: CHUNKED", body="5\r\nhello\r\n" + EMPTY),
          posted("hello")),
    legal("no blank before a coding", post("Transfer-Encoding:chunked", body=EMPTY), posted()),
    legal("a coding that is spelled otherwise", get("Transfer_Encoding: chunked",
                                                    "X-Transfer-Encoding: chunked"), got()),
    legal("a coding that is named in Connection",
          post("Connection: Transfer-Encoding, keep-alive", CHUNKED,
               body="5\r\nhello\r\n" + EMPTY), posted("hello")),
    legal("a GET with chunks", text("GET /first HTTP/1.1", HOST, CHUNKED,
                                    body="5\r\nhello\r\n" + EMPTY), posted("hello", "GET")),
]

CHUNKS = [
    *(refused(f"size of a chunk {size!r}", chunks(f"{size}\r\nhello\r\n{EMPTY}"))
      for size in ("0x5", "+5", "-5", " 5", "\t5", "5_0", "5 5", "5g", "g", "", "5.", ";x", "\0005",
                   "5\0", "5\x0b", "\xb2", "5,", "10000000000000005", "00000000000000005",
                   "8000000000000000", "ffffffffffffffff", "fffffffffffffffb", "f" * 17,
                   "1" + "0" * 16)),
    refused("a size that ends in LF", chunks(f"5\nhello\r\n{EMPTY}")),
    refused("a size that ends in CR", chunks(f"5\rhello\r\n{EMPTY}")),
    refused("a size that ends in CR CR LF", chunks(f"5\r\r\nhello\r\n{EMPTY}")),
    refused("a chunk that ends in LF", chunks(f"5\r\nhello\n{EMPTY}")),
    refused("a chunk that ends in CR", chunks(f"5\r\nhello\r{EMPTY}")),
    refused("a chunk without an end", chunks(f"5\r\nhello{EMPTY}")),
    refused("a chunk longer than it says", chunks(f"4\r\nhello\r\n{EMPTY}")),
    refused("a chunk shorter than it says", chunks(f"6\r\nhello\r\n{EMPTY}")),
    refused("no chunks at all", chunks("")),
    refused("a second size that is bad", chunks(f"5\r\nhello\r\n0x0\r\n\r\n{EMPTY}")),
    refused("an extension that ends in LF", chunks(f"5;x\nhello\r\n{EMPTY}")),
    refused("an extension with a CR", chunks(f"5;x\ry\r\nhello\r\n{EMPTY}")),
    refused("an extension with a NUL", chunks(f"5;x\0\r\nhello\r\n{EMPTY}")),
    refused("a last chunk that ends in LF", chunks("0\n\r\n")),
    refused("a last chunk whose extension ends in LF", chunks("0;x\n\r\n")),
    refused("trailers that end in LF", chunks("0\r\n\n")),
    refused("trailers that end in CR", chunks("0\r\n\rX")),
    refused("extensions without end", chunks(f"5;{'x' * 20_000}\r\nhello\r\n{EMPTY}")),
    *(refused(f"trailer {field!r}", chunks(f"5\r\nhello\r\n0\r\n{field}\r\n\r\n"))
      for field in ("Content-Length: 50", "content-length: 0", CHUNKED, "Host: smuggled",
                    "no colon", "X : y", " X: y", "X: y\r\n z", "X: y\nZ: z", "X: \0", ": y")),
    legal("chunks", chunks(f"5\r\nhello\r\n7\r\n, world\r\n{EMPTY}"), posted("hello, world")),
    legal("extensions", chunks(f'5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n'), posted("hello")),
    legal("blanks behind a size", chunks(f"5 \t\r\nhello\r\n{EMPTY}"), posted("hello")),
    legal("blanks before an extension", chunks(f"5 ; x\r\nhello\r\n{EMPTY}"), posted("hello")),
    legal("leading zeroes of a size", chunks("0005\r\nhello\r\n0000\r\n\r\n"), posted("hello")),
    legal("sizes of either case", chunks(f"a\r\n0123456789\r\nA\r\n0123456789\r\n{EMPTY}"),
          posted("0123456789" * 2)),
    legal("a trailer", chunks("5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), posted("hello")),
    legal("chunks that look like a request",
          chunks(f"{len(SMUGGLED):x}\r\n{SMUGGLED.decode()}\r\n{EMPTY}"),
          posted(SMUGGLED.decode())),
    legal("chunks that look like their end", chunks(f"5\r\n{EMPTY}\r\n{EMPTY}"), posted(EMPTY)),
    refused("a trailer of the connection", chunks("5\r\nhello\r\n0\r\nConnection: close\r\n\r\n")),
    refused("a trailer that claims an identity",
            chunks("5\r\nhello\r\n0\r\nAuthorization: Basic eA==\r\n\r\n")),
    refused("trailers without end", chunks(f"0\r\nX: {'y' * 20_000}\r\n\r\n"), 431),
]

FIELDS = [
    refused("a CR in a value", get("X: a\rb")),
    refused("a CR that hides a field", get("X: a\rTransfer-Encoding: chunked")),
    refused("a CR before a line's end", get("X: a\r")),
    refused("an LF in a value", get("X: a\nb")),
    refused("an LF that hides a field", get("X: a\nContent-Length: 5")),
    refused("lines that end in LF", b"GET /first HTTP/1.1\nHost: first\n\n"),
    refused("a head that ends in LF", b"GET /first HTTP/1.1\r\nHost: first\r\n\n"),
    refused("a head that ends in LF LF", b"GET /first HTTP/1.1\r\nHost: first\n\n"),
    refused("a head that ends in CR", b"GET /first HTTP/1.1\r\nHost: first\r\n\rX"),
    refused("a NUL in a value", get("X: a\0b")),
    refused("a NUL in a name", get("X\0: a")),
    refused("another control in a value", get("X: a\x08b")),
    refused("a DEL in a value", get("X: a\x7fb")),
    refused("a space in a name", get("X Y: a")),
    refused("a space before a colon", get("X : a")),
    refused("a name that is not ASCII", get("\xc9: a")),
    *(refused(f"{character} in a name", get(f"X{character}Y: a")) for character in '()/@[]{}"<>,;'),
    refused("no name", get(": a")),
    refused("a line without a colon", get("no colon")),
    refused("a line without a colon, named as a length", get("Content-Length")),
    refused("a value that goes on in the next line", get("X: a", " b")),
    refused("a space before the first field", text("GET /first HTTP/1.1", " " + HOST)),
    refused("a space before the first field, and a host", text("GET /first HTTP/1.1", " X: y",
                                                               HOST)),
    refused("a blank line that is not empty", text("GET /first HTTP/1.1", HOST, " ")),
    refused("fields without end", get("X: " + "y" * 70_000), 431),
    refused("too many fields", get(*["X: y"] * 500), 431),
    legal("empty values", get("X:", "Y: ", "Z:\t"), got()),
    legal("values that are not ASCII", get("X: \xc3\xa9\xff"), got()),
    legal("tabs in a value", get("X: a\tb"), got()),
    legal("names of every character that may stand", get("X!#$%&'*+-.^_`|~9: a"), got()),
    legal("a Connection that names the host", get("Connection: Host, keep-alive"), got()),
]

HOSTS = [
    refused("no host", text("GET /first HTTP/1.1", "X: y")),
    refused("no fields", text("GET /first HTTP/1.1")),
    refused("two hosts, different", get("Host: second")),
    refused("two hosts, the same", get(HOST)),
    refused("two hosts, in other case", get("X: y", "hOST: second")),
    refused("two hosts and absolute form",
            text("GET http://first/first HTTP/1.1", HOST, "Host: second")),
    *(refused(f"host {value!r}", text("GET /first HTTP/1.1", f"Host: {value}"))
      for value in ("user@first", "user:pass@first", "first second", "first, second@x",
                    "first/path", "first?q", "first#f", "first\\x", "http://first", "first:x",
                    "first:-1", "first:80:80", "first:999999", "[::1", "::1", "[]", "<first>",
                    "first\0", "fir\tst", "f\xc3\xafrst", "[first]x", '"first"')),
    legal("a host with a port", text("GET /first HTTP/1.1", "Host: first:8080"), got()),
    legal("a host that is an address", text("GET /first HTTP/1.1", "Host: 127.0.0.1"), got()),
    legal("a host of IPv6", text("GET /first HTTP/1.1", "Host: [::1]:80"), got()),
    legal("absolute form with another host",
          text("GET http://second/first HTTP/1.1", HOST), got()),
    legal("absolute form without a path", text("GET http://first HTTP/1.1", HOST), got("/")),
    legal("absolute form with a query alone", text("GET http://first?q HTTP/1.1", HOST),
          got("/?q")),
    refused("absolute form without a host", text("GET http://first/first HTTP/1.1", "X: y")),
    refused("absolute form with a bad host", text("GET http://second/first HTTP/1.1",
                                                  "Host: first second")),
    *(refused(f"absolute form {target!r}", get(line=f"GET {target} HTTP/1.1"))
      for target in ("http:///first", "http://user@first/first", "http://first:x/first",
                     "http://[::1/first", "http:/first", "http:first", "://first/first",
                     "http://:80/first", "http://fir\\st/first", "1http://first/first")),
    legal("HTTP/1.0 without a host", text("GET /first HTTP/1.0", "Connection: keep-alive"), got()),
]

LINES = [
    *(refused(f"target {target!r}", get(line=f"GET {target} HTTP/1.1"))
      for target in ("/a b", "/a\tb", "/a\0b", "/a\x0bb", "/a\x7fb", "/\xc3\xa9", "/\x80", "/a#b",
                     "#", "", "first", "?q", "*", "first:80", "/a\rb", "/a\nb")),
    *(refused(f"method {method!r}", get(line=f"{method} /first HTTP/1.1"))
      for method in ("G@T", "GET\0", "G\tET", "(GET)", "G\xc9T", "", " GET", "\tGET", "GET:",
                     "\x0bGET", "\0GET", '"GET"', "GE\rT", "GE\nT")),
    *(refused(f"version {version!r}", get(line=f"GET /first {version}"))
      for version in ("http/1.1", "HTTP/1", "HTTP/1.", "HTTP/1.10", "HTTP/1.1 ", "HTTP/ 1.1",
                      "HTTP/1,1", "HTTP/01.1", "HTTP/+1.1", "HTP/1.1", "HTTP1.1", "HTTPS/1.1",
                      "HTTP/1.1\0", "HTTP/1.1\t", "HTTP/1.1\x0b", "HTTP/1.x", "", "ICY/1.1",
                      "HTTP/1.\xb2", "x HTTP/1.1")),
    *(refused(f"version {version!r}", get(line=f"GET /first {version}"), 505)
      for version in ("HTTP/2.0", "HTTP/0.9", "HTTP/3.0", "HTTP/9.9")),
    refused("a line of HTTP/0.9", b"GET /first\r\n"),
    refused("a line that ends in LF", b"GET /first HTTP/1.1\nHost: first\r\n\r\n"),
    refused("a line that ends in CR", b"GET /first HTTP/1.1\rHost: first\r\n\r\n"),
    refused("two spaces before the target", get(line="GET  /first HTTP/1.1")),
    refused("two spaces before the version", get(line="GET /first  HTTP/1.1")),
    refused("tabs between the words", get(line="GET\t/first\tHTTP/1.1")),
    refused("an LF before the line", b"\n" + get()),
    refused("a CR before the line", b"\r" + get()),
    refused("a blank line before the line", b" \r\n" + get()),
    refused("a target without end", get(line=f"GET /{'x' * 9000} HTTP/1.1"), 414),
    refused("a method without end", get(line=f"{'X' * 100} /first HTTP/1.1"), 501),
    refused("the preface of HTTP/2 behind a request",
            get() + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, seen=[got()]),
    refused("bytes behind a body", post("Content-Length: 4", body="hello\r\n"), seen=[
        posted("hell")]),
    refused("a last chunk with an end too many, and bytes",
            chunks(f"{EMPTY}\r\nx\r\n"), seen=[posted()]),
    legal("empty lines before the line", b"\r\n\r\n" + get(), got()),
    legal("empty lines behind a body", post("Content-Length: 5", body="hello\r\n"),
          posted("hello")),
    legal("HTTP/1.7", get(line="GET /first HTTP/1.7"), got()),
    legal("HTTP/1.0 that is kept alive", get("Connection: keep-alive", line="GET /first HTTP/1.0"),
          got()),
    legal("a body in HTTP/1.0", text("POST /first HTTP/1.0", HOST, "Connection: keep-alive",
                                     "Content-Length: 5", body="hello"), posted("hello")),
    Case("HTTP/1.0 that is not kept alive", get(line="GET /first HTTP/1.0"), (got(),)),
    Case("a request that ends its connection", get("Connection: close"), (got(),)),
    Case("a body in a request that ends its connection",
         post("Connection: close", "Content-Length: 5", body="hello"), (posted("hello"),)),
    legal("targets that RFC 3986 would have encoded", get(line="GET /a|b{c}\\^` HTTP/1.1"),
          got("/a|b{c}\\^`")),
    legal("an encoded end of a line", get(line="GET /a%0d%0aX:%20y HTTP/1.1"),
          got("/a%0d%0aX:%20y")),
    legal("three requests at once", get() + post("Content-Length: 5", body="hello"), got(),
          posted("hello")),
]

UPGRADES = [
    legal("an upgrade to h2c", get("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                                   "HTTP2-Settings: AAMAAABkAAQAAP__"), got()),
    legal("an upgrade to h2c among others", get("Connection: Upgrade", "Upgrade: websocket, h2c"),
          got()),
    legal("an upgrade to h2c in a second field", get("Connection: Upgrade", "Upgrade: websocket",
                                                     "Upgrade: H2C"), got()),
    legal("an upgrade that the backend does not take", get("Connection: Upgrade",
                                                           "Upgrade: websocket"), got()),
    legal("an upgrade with a body", post("Connection: Upgrade", "Upgrade: websocket",
                                         "Content-Length: 5", body="hello"), posted("hello")),
    legal("an upgrade to TLS", get("Connection: Upgrade", "Upgrade: TLS/1.2"), got()),
    legal("an expectation with its body", post("Expect: 100-continue", "Content-Length: 5",
                                               body="hello"), posted("hello")),
    legal("an expectation with its chunks", post("Expect: 100-continue", CHUNKED,
                                                 body="5\r\nhello\r\n" + EMPTY), posted("hello")),
    legal("an expectation without a body", get("Expect: 100-continue"), got()),
    refused("an expectation with length and coding",
            post("Expect: 100-continue", CHUNKED, "Content-Length: 5", body="hello")),
    refused("a CONNECT", text("CONNECT first:80 HTTP/1.1", "Host: first:80"), 501),
    refused("a CONNECT with a body", text("CONNECT first:80 HTTP/1.1", "Host: first:80",
                                          "Content-Length: 5", body="hello"), 501),
    legal("an upgrade to HTTP/2 with a version", get("Connection: Upgrade", "Upgrade: h2c/1.0"),
          got()),
    refused("a CONNECT to a path", get(line="CONNECT /first HTTP/1.1")),
    refused("a CONNECT without a port", get(line="CONNECT first HTTP/1.1")),
]

CASES = [*LENGTHS, *CODINGS, *CHUNKS, *FIELDS, *HOSTS, *LINES, *UPGRADES]

# nginx itself refuses these. The proxy is none to judge them: they end where they seem to.
NOT_FOR_NGINX = [
    legal("a method of every character that may stand",
          get(line="X!#$%&'*+-.^_`|~9 /first HTTP/1.1"), got(method="X!#$%&'*+-.^_`|~9")),
    legal("a method in small letters", get(line="get /first HTTP/1.1"), got(method="get")),
    legal("a TRACE", get(line="TRACE /first HTTP/1.1"), got(method="TRACE")),
    legal("an encoded NUL", get(line="GET /a%00b HTTP/1.1"), got("/a%00b")),
    legal("an empty host", text("GET /first HTTP/1.1", "Host:"), got()),
    legal("an OPTIONS of the server", get(line="OPTIONS * HTTP/1.1"), got("*", "OPTIONS")),
]


# Ends, if ever, long after the client has gone: everything behind the head is body.
ENDLESS = {
    "a length above what comes": post(f"Content-Length: {len(SMUGGLED) + 1}"),
    "the largest length": post("Content-Length: 9223372036854775807"),
    "the largest chunk": chunks("7fffffffffffffff\r\n"),
    "a chunk above what comes": chunks(f"{len(SMUGGLED) + 1:x}\r\n"),
    "a chunk without its end": chunks(f"{len(SMUGGLED):x}\r\n"),
}


# ------------------------------------------------------------------------------- the tests


MANIFESTS = """
apiVersion: v1
kind: Service
metadata: {{name: recorder}}
spec:
  type: NodePort
  ports: [{{port: 80, nodePort: {proxy.node_port}, appProtocol: http}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: recorder}}
spec: {{defaultBackend: {{service: {{name: recorder, port: {{number: 80}}}}}}}}
"""


@contextlib.contextmanager
def recorded(kind):
    """(proxy, the backend behind it), in a world of their own."""
    backend = BACKENDS[kind]()
    proxy = ProxyAlone()
    try:
        proxy.write("recorder.yaml", MANIFESTS.format(proxy=proxy))
        proxy.write("slice.yaml", slice_of("recorder", backend))
        proxy.start()
        wait_until(lambda: proxy.get(proxy.ingress_port)[0] == 200, LIMIT_S, "the Ingress answers")
        wait_until(lambda: proxy.get(proxy.node_port)[0] == 200, LIMIT_S, "the node port answers")
        settled(proxy, backend)
        yield proxy, backend
    finally:
        proxy.close()
        backend.close()


@pytest.fixture(scope="module", params=BACKENDS)
def world(request):
    with recorded(request.param) as made:
        yield made


def send(port, data, piece_bytes, limit_s=LIMIT_S):
    """All that comes back until the other side ends the connection."""
    with socket.create_connection(("127.0.0.1", port), limit_s) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for at in range(0, len(data), piece_bytes):
                connection.sendall(data[at:at + piece_bytes])
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all of it was sent
        received = b""
        while piece := connection.recv(1 << 16):
            received += piece
        return received


def settled(proxy, backend):
    """What the backend saw until now. Asks it once more: what was sent to it before has come then,
    and the answer is the right one only if nobody else's was left over.
    """
    last = Seen("GET", f"/last/{next(NUMBERS)}")
    data = text(f"GET {last.target} HTTP/1.1", "Host: last", "Connection: close")
    answers = take_answers(send(proxy.ingress_port, data, len(data)), ["GET"])
    assert answers == [(200, last.answer())]
    return backend.before(last)


def check(proxy, backend, case, port, limit_s=LIMIT_S):
    data = case.sent + SMUGGLED
    for piece_bytes in (len(data), 1 + len(data) // PIECES_MAX):
        backend.forget()
        received = send(port, data, piece_bytes, limit_s)
        answers = take_answers(received, [seen.method for seen in case.seen])
        assert settled(proxy, backend) == list(case.seen)
        assert [status for status, _ in answers] == case.statuses()
        assert [body for status, body in answers if status == 200] == [
            b"" if seen.method == "HEAD" else seen.answer() for seen in case.seen]
        assert backend.complaint() is None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request_means_one_thing_or_is_refused(world, case):
    proxy, backend = world
    check(proxy, backend, case, proxy.ingress_port)


@pytest.mark.parametrize("world", ["python", "strict"], indirect=True)
@pytest.mark.parametrize("case", NOT_FOR_NGINX, ids=lambda case: case.name)
def test_what_only_some_backends_take_means_one_thing(world, case):
    proxy, backend = world
    check(proxy, backend, case, proxy.ingress_port)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("world", ["strict"], indirect=True)
def test_a_node_port_of_http_is_no_less_strict(world, case):
    proxy, backend = world
    check(proxy, backend, case, proxy.node_port)


@pytest.mark.parametrize("head", ENDLESS.values(), ids=ENDLESS)
def test_a_body_that_breaks_off_hides_a_request_from_everybody(world, head):
    proxy, backend = world
    backend.forget()
    with socket.create_connection(("127.0.0.1", proxy.ingress_port), LIMIT_S) as connection:
        connection.sendall(head + SMUGGLED)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass
    assert settled(proxy, backend) == []
