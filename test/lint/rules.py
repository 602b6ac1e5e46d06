"""The rules of this codebase that no compiler knows. Each is a function from a Tree to findings.

test_lint.py runs every rule over the repository, and proves on a bad example that it can fail.
"""

import dataclasses
import fnmatch
import functools
import pathlib
import posixpath
import re
import subprocess

import cpp

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 800
COLUMNS_MAX = 100


@dataclasses.dataclass(frozen=True)
class Finding:
    path: str
    line: int
    message: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.message}"


class Tree:
    """The files of a repository: path → text. Made from git, or by a test from a dict."""

    def __init__(self, files):
        self.files = files

    @classmethod
    def of_repository(cls, root):
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root, check=True, capture_output=True, text=True,
        ).stdout.split("\0")
        files = {}
        for name in filter(None, listed):
            try:
                files[name] = (pathlib.Path(root) / name).read_text()
            except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
                continue  # binary test data, or deleted in the work tree
        return cls(files)

    def matching(self, *patterns):
        return [p for p in sorted(self.files) if any(fnmatch.fnmatch(p, q) for q in patterns)]

    @functools.cache
    def code(self, path):
        return cpp.blank(self.files[path])


CPP = ("*.cc", "*.h")
OWN_SOURCES = ("src/*.cc", "src/*.h", "examples/*.cc", "examples/*.h")


# ---------------------------------------------------------------------------------- layers


@dataclasses.dataclass
class Layers:
    number: dict  # folder → layer
    also: set  # (from, to): siblings that may be included all the same
    never: set  # (from, to): folders below that may not


def parse_layers(architecture):
    """Reads the rows `| 2 | `net` `kube` [`a` → `b`] [`a` ↛ `c` `d`] | ... |` of the table."""
    layers = Layers({}, set(), set())
    for row in re.finditer(r"^\|\s*(\d+)\s*\|([^|]*)\|", architecture, re.MULTILINE):
        edges = re.findall(r"\[([^\]]*?)(→|↛)([^\]]*)\]", row[2])
        for folder in re.findall(r"`(\w+)`", re.sub(r"\[[^\]]*\]", "", row[2])):
            layers.number[folder] = int(row[1])
        for sources, arrow, targets in edges:
            pairs = {(a, b) for a in re.findall(r"`(\w+)`", sources)
                     for b in re.findall(r"`(\w+)`", targets)}
            (layers.also if arrow == "→" else layers.never).update(pairs)
    return layers


def include_layers(tree):
    layers = parse_layers(tree.files.get("ARCHITECTURE.md", ""))
    if not layers.number:
        yield Finding("ARCHITECTURE.md", 1, "has no table of layers")
    for path in tree.matching("src/*/*.cc", "src/*/*.h"):
        own = path.split("/")[1]
        if own not in layers.number:
            yield Finding(path, 1, f"folder {own} is not in the layer table of ARCHITECTURE.md")
            continue
        for match in re.finditer(r'^\s*#include "([^"/]+)/[^"]*"', tree.code(path), re.MULTILINE):
            other = match[1]
            line = cpp.line_of(tree.code(path), match.end())
            if other not in layers.number:
                yield Finding(path, line, f"{other} is not in the layer table of ARCHITECTURE.md")
            elif (own, other) in layers.never:
                yield Finding(path, line, f"{own} may never include {other} (ARCHITECTURE.md)")
            elif other != own and (own, other) not in layers.also \
                    and layers.number[other] >= layers.number[own]:
                yield Finding(path, line, f"layer {layers.number[own]} ({own}) may not include "
                                          f"layer {layers.number[other]} ({other})")


def include_paths(tree):
    for path in tree.matching(*OWN_SOURCES):
        for match in re.finditer(r'^\s*#include "([^"/]+)"', tree.code(path), re.MULTILINE):
            if path.startswith("src/"):
                yield Finding(path, cpp.line_of(tree.code(path), match.end()),
                              f'write the folder too: #include "layer/{match[1]}"')


# ---------------------------------------------------------------------------------- sizes


def function_length(tree):
    """A table inside a test is data and does not count."""
    for path in tree.matching(*CPP):
        for function in cpp.functions(tree.code(path)):
            length = function.length
            if path.endswith("_test.cc"):
                length -= cpp.longest_initialiser(tree.code(path), function)
            if length > FUNCTION_LINES_MAX:
                yield Finding(path, function.first_line,
                              f"{function.name} has {function.length} lines; at most "
                              f"{FUNCTION_LINES_MAX}")


def file_length(tree):
    for path in tree.matching(*CPP, "*.py", "*.cmake", "dev"):
        lines = tree.files[path].count("\n")
        if lines > FILE_LINES_MAX:
            yield Finding(path, lines, f"has {lines} lines; at most {FILE_LINES_MAX}")


def columns(tree):
    for path in tree.matching(*CPP, "*.py", "*.cmake", "*CMakeLists.txt", "dev", ".ci/run"):
        for number, line in enumerate(tree.files[path].splitlines(), 1):
            if len(line) > COLUMNS_MAX:
                yield Finding(path, number, f"has {len(line)} columns; at most {COLUMNS_MAX}")


# ---------------------------------------------------------------------------------- banned


@dataclasses.dataclass(frozen=True)
class Ban:
    pattern: str
    instead: str
    allowed: tuple = ()  # (path pattern, reason)


_BLOCKING_PEER = "a blocking peer on the other side of the code under test"

BANS = (
    Ban(r"\b(?:f|v|vf)?printf\s*\(|\bf?puts\s*\(|\bstd::(?:cout|cerr|clog)\b",
        "log::info and its siblings; only commands print",
        (("src/cli/*", "prints to its user"), ("src/app/*", "prints to its user"),
         ("src/base/check.cc", "its last words before abort"),
         ("examples/*", "programs of their own"), ("tools/*", "programs of their own"))),
    Ban(r"(?<![\w.>:])s?rand\s*\(|\bstd::(?:random_device|mt19937(?:_64)?|default_random_engine)\b",
        "a tulle::Random& parameter"),
    Ban(r"\b(?:system|steady|high_resolution)_clock::now\b|\bclock_gettime\s*\("
        r"|\bgettimeofday\s*\(|(?<![\w.>])(?:std::)?time\s*\(\s*(?:nullptr|NULL|0)\s*\)",
        "rt::Loop::now()",
        (("src/rt/*", "the clock lives here"),
         ("src/*_test.cc", "certificates of a test are valid at the time that OpenSSL reads"))),
    Ban(r"(?<![\w.>:])(?:::)?(?:u|nano)?sleep\s*\(|\bstd::this_thread\b",
        "rt::sleep or a condition to wait for",
        (("src/rt/*", "the loop itself"),)),
    Ban(r"\bstd::j?thread\b|\bstd::async\b|\bpthread_create\b",
        "a Task on the loop, or rt's pool for blocking work",
        (("src/rt/*", "the pool lives here"), ("src/app/*", "wires one loop per worker thread"),
         ("src/*_test.cc", _BLOCKING_PEER))),
    Ban(r"\bgetaddrinfo\s*\(|\bgethostbyname\s*\(|(?<![\w.>:])(?:::)?socket\s*\(",
        "net's dialers, listeners and resolver",
        (("src/net/*", "sockets live here"),
         ("src/node/pod_network.cc", "rtnetlink, which speaks to the kernel and not to a peer"),
         ("src/*_test.cc", _BLOCKING_PEER))),
    Ban(r"\bstd::regex\b", "RE2, whose time is linear",
        (("src/*_test.cc", "matches what the test itself made"),)),
    Ban(r"\bstd::endl\b", r"'\n'"),
    Ban(r"(?<![\w.>:])(?:::)?(?:system|popen)\s*\(", "fork and exec with an argument list"),
    Ban(r"\bstrcpy\s*\(|\bstrcat\s*\(|(?<!\w)sprintf\s*\(", "fmt or std::string"),
    Ban(r"\batoi\s*\(|\bstd::sto[a-z]+\s*\(", "std::from_chars, which says what did not parse",
        (("src/*_test.cc", "parses what the test itself wrote"),)),
)


def banned_calls(tree):
    for path in tree.matching(*OWN_SOURCES):
        code = tree.code(path)
        for ban in BANS:
            if any(fnmatch.fnmatch(path, pattern) for pattern, _ in ban.allowed):
                continue
            for match in re.finditer(ban.pattern, code):
                name = match[0].strip().rstrip("(").strip()
                yield Finding(path, cpp.line_of(code, match.start()),
                              f"{name} is banned here; use {ban.instead}")


def capturing_coroutines(tree):
    """A lambda's captures die with the lambda, at the coroutine's first suspension often."""
    for path in tree.matching(*CPP):
        code = tree.code(path)
        for found in cpp.lambdas(code):
            if found.captures and re.search(r"\bco_(?:await|return|yield)\b", found.body):
                yield Finding(path, cpp.line_of(code, found.offset),
                              "a lambda that captures may not be a coroutine; pass parameters")


# ---------------------------------------------------------------------------------- text


def pragma_once(tree):
    for path in tree.matching("*.h"):
        if not re.search(r"^#pragma once$", tree.files[path], re.MULTILINE):
            yield Finding(path, 1, "has no #pragma once")


def using_namespace(tree):
    for path in tree.matching("*.h"):
        for match in re.finditer(r"\busing\s+namespace\b", tree.code(path)):
            yield Finding(path, cpp.line_of(tree.code(path), match.start()),
                          "no `using namespace` in a header")


_OPEN_WORDS = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b")
_MACHINE = re.compile(r"/wo" r"rk/|/ho" r"me/\w|/Us" r"ers/")


def open_ends(tree):
    for path in sorted(tree.files):
        for number, line in enumerate(tree.files[path].splitlines(), 1):
            if match := _OPEN_WORDS.search(line):
                yield Finding(path, number, f"{match[0]}: do it, or file an issue")


def machine_paths(tree):
    for path in sorted(tree.files):
        for number, line in enumerate(tree.files[path].splitlines(), 1):
            if match := _MACHINE.search(line):
                yield Finding(path, number, f"{match[0]} is a path of one machine")


def test_names(tree):
    for path in tree.matching("*_test.cc", "test/*.cc"):
        code = tree.code(path)
        for match in re.finditer(r"^\s*(?:TYPED_)?TEST(?:_[FP])?\(\s*(\w+)\s*,\s*(\w+)\s*\)", code,
                                 re.MULTILINE):
            plain = re.fullmatch(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+", match[2])
            if not plain or not re.fullmatch(r"[A-Z]\w*", match[1]):
                yield Finding(path, cpp.line_of(code, match.end()),
                              f"{match[1]}.{match[2]} is no sentence in snake_case after a Subject")


def doc_anchors(tree):
    """`path#name` and `path:name` in documents point at something that is there."""
    for path in tree.matching("*.md"):
        text = tree.files[path]
        for match in re.finditer(r"`((?:[\w.-]+/)+[\w.-]+\.\w+)[#:]([\w:~]+)`", text):
            target, name = match[1], match[2].split("::")[-1]
            line = cpp.line_of(text, match.start())
            if target not in tree.files:
                yield Finding(path, line, f"there is no file {target}")
            elif name.isdigit():
                yield Finding(path, line, "a line number does not last; name a function")
            elif not re.search(rf"\b{re.escape(name)}\b", tree.files[target]):
                yield Finding(path, line, f"{target} has no {name}")


def doc_links(tree):
    """Relative links between documents lead somewhere."""
    folders = {str(parent) for p in tree.files for parent in pathlib.PurePosixPath(p).parents}
    for path in tree.matching("*.md"):
        for match in re.finditer(r"\]\((?!\w+:|#)([^)#\s]+)(?:#[^)]*)?\)", tree.files[path]):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), match[1]))
            if target not in tree.files and target not in folders:
                yield Finding(path, cpp.line_of(tree.files[path], match.start()),
                              f"there is no {match[1]}")


RULES = (
    include_layers, include_paths, function_length, file_length, columns, banned_calls,
    capturing_coroutines, pragma_once, using_namespace, open_ends, machine_paths, test_names,
    doc_anchors, doc_links,
)
