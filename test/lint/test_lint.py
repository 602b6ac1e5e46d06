"""Every rule holds for the repository, and fails on an example made to break it."""

import pathlib
import subprocess

import pytest

import rules
from rules import Tree

ROOT = pathlib.Path(__file__).resolve().parents[2]

TABLE = """
| layer | folder | holds |
|---|---|---|
| 0 | `base` | |
| 1 | `rt` `codec` | |
| 2 | `net` `kube` | |
| 3 | `proxy` `node` [`proxy` ↛ `kube`] | |
| 4 | `cli` `app` [`app` → `cli`] | |
"""


@pytest.fixture(scope="module")
def repository():
    return Tree.of_repository(ROOT)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_holds_for_the_repository(rule, repository):
    findings = [str(finding) for finding in rule(repository)]
    assert not findings, "\n" + "\n".join(findings)


def test_the_sources_have_the_format_of_clang_format():
    sources = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.cc", "*.h"],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    present = [source for source in sources if (ROOT / source).is_file()]
    done = subprocess.run(["clang-format-19", "--dry-run", "-Werror", *present],
                          cwd=ROOT, capture_output=True, text=True)
    wrong = sorted({line.split(":")[0] for line in done.stderr.splitlines() if ": error:" in line})
    assert done.returncode == 0, "./dev fmt would change " + " ".join(wrong)


# rule, path, text that breaks it, text that does not
EXAMPLES = [
    ("include_layers", "src/rt/a.h", '#include "net/b.h"\n', '#include "base/b.h"\n'),
    ("include_layers", "src/node/a.h", '#include "proxy/b.h"\n', '#include "kube/b.h"\n'),
    ("include_layers", "src/proxy/a.h", '#include "kube/b.h"\n', '#include "net/b.h"\n'),
    ("include_layers", "src/cli/a.h", '#include "app/b.h"\n', '// #include "app/b.h"\n'),
    ("include_layers", "src/app/a.h", '#include "what/b.h"\n', '#include "cli/b.h"\n'),
    ("include_layers", "src/what/a.h", "\n", None),
    ("include_paths", "src/rt/a.cc", '#include "a.h"\n', '#include "rt/a.h"\n'),
    ("function_length", "src/rt/a.cc", "void f() {\n" + "  g();\n" * 69 + "}\n",
     "void f() {\n" + "  g();\n" * 68 + "}\n"),
    ("function_length", "src/rt/a.h", "struct S {\n  int f(int x) const {" + "\n" * 70 + "}\n};\n",
     "struct S {\n" + "  int x;\n" * 90 + "};\n"),
    ("function_length", "src/rt/a.cc",
     "S::S(int x)\n    : a_{x},\n      b_(x) {" + "\n" * 68 + "}\n",
     "const int table[] = {" + "\n" * 90 + "};\n"),
    ("function_length", "src/rt/a_test.cc", "TEST(A, b_c) {" + "\n" * 75 + "}\n",
     "TEST(A, b_c) {\n  const Row rows[] = {" + "\n" * 75 + "};\n}\n"),
    ("file_length", "src/rt/a.cc", "\n" * 801, "\n" * 800),
    ("columns", "src/rt/a.cc", "// " + "x" * 98 + "\n", "// " + "x" * 97 + "\n"),
    ("columns", "dev", "x" * 101, "x" * 100),
    ("banned_calls", "src/http/a.cc", 'void f() { printf("x"); }\n', 'auto s = "printf(";\n'),
    ("banned_calls", "src/http/a.cc", "auto& o = std::cout;\n", "// std::cout\n"),
    ("banned_calls", "src/mesh/a.cc", "int x = rand();\n", "int x = brand();\n"),
    ("banned_calls", "src/mesh/a.cc", "std::random_device d;\n", "tulle::Random d(1);\n"),
    ("banned_calls", "src/http/a.cc", "auto t = std::chrono::steady_clock::now();\n",
     "auto t = loop.now();\n"),
    ("banned_calls", "src/mesh/a.h", "clock_gettime(CLOCK_MONOTONIC, &t);\n", None),
    ("banned_calls", "src/http/a.cc", "auto t = time(nullptr);\n", "auto t = time(n);\n"),
    ("banned_calls", "src/http/a_test.cc", "void f() { usleep(5); }\n",
     "void f() { co_await rt::sleep(5); }\n"),
    ("banned_calls", "src/http/a.cc", "std::thread t;\n", "threads t;\n"),
    ("banned_calls", "src/http/a.cc", "int fd = ::socket(1, 2, 3);\n", "auto s = x.socket();\n"),
    ("banned_calls", "src/http/a.cc", "getaddrinfo(a, b, c, d);\n", "net::resolve(a);\n"),
    ("banned_calls", "src/http/a.cc", "std::regex r;\n", "RE2 r;\n"),
    ("banned_calls", "src/http/a.cc", "o << std::endl;\n", None),
    ("banned_calls", "src/node/a.cc", 'system("rm");\n', "file_system(x);\n"),
    ("banned_calls", "src/node/a.cc", "sprintf(b, c);\n", "snprintf(b, 3, c);\n"),
    ("banned_calls", "src/node/a.cc", "int x = std::stoi(s);\n", None),
    ("capturing_coroutines", "src/rt/a.cc",
     "auto f = [&loop](int x) -> Task<int> { co_return x; };\n",
     "auto f = [](int x) -> Task<int> { co_return x; };\n"),
    ("capturing_coroutines", "src/rt/a.cc", "run([this] { co_await g(); });\n",
     "run([this] { return spawn([](int x) -> Task<> { co_await g(x); }); });\n"),
    ("pragma_once", "src/rt/a.h", "int f();\n", "#pragma once\nint f();\n"),
    ("using_namespace", "src/rt/a.h", "using namespace std;\n", "using std::string;\n"),
    ("open_ends", "src/rt/a.cc", "// TO" "DO: later\n", "// mkdtemp XXXXXX\n"),
    ("machine_paths", "docs/a.md", "see /wo" "rk/main\n", "see build/release\n"),
    ("test_names", "src/rt/a_test.cc", "TEST(Loop, TimerWorks) {}\n",
     "TEST(Loop, fires_timers_in_order) {}\n"),
    ("test_names", "src/rt/a_test.cc", "TEST_F(loop, fires_in_order) {}\n",
     "TEST_P(Loop, fires_in_order) {}\n"),
    ("doc_anchors", "docs/a.md", "`src/rt/z.cc#run`\n", "`src/rt/kept.cc#serve`\n"),
    ("doc_anchors", "docs/a.md", "`src/rt/kept.cc:run`\n", "`src/rt/kept.cc:Loop::serve`\n"),
    ("doc_anchors", "docs/a.md", "`src/rt/kept.cc:12`\n", None),
    ("doc_links", "docs/a.md", "[x](gone.md)\n", "[x](../ARCHITECTURE.md#y) [z](https://z)\n"),
]


@pytest.mark.parametrize("name, path, bad, good", EXAMPLES,
                         ids=[f"{row[0]}-{number}" for number, row in enumerate(EXAMPLES)])
def test_rule_tells_bad_from_good(name, path, bad, good):
    rule = getattr(rules, name)
    around = {"ARCHITECTURE.md": TABLE, "src/rt/kept.cc": "void Loop::serve() {}\n"}
    found = list(rule(Tree(around | {path: bad})))
    assert [finding.path for finding in found] == [path]
    if good is not None:
        assert not list(rule(Tree(around | {path: good})))


def test_every_rule_has_an_example():
    assert {row[0] for row in EXAMPLES} == {rule.__name__ for rule in rules.RULES}
