"""Just enough reading of C++ for the rules: comments and literals blanked out, bodies found."""

import bisect
import dataclasses
import re

_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      | (?P<raw>R"(?P<tag>[^()\s]*)\(.*?\)(?P=tag)")
      | (?P<string>"(?:\\.|[^"\\\n])*")
      | (?P<character>(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+')""",
    re.VERBOSE | re.DOTALL,
)


def blank(text):
    """The text with comments and the insides of literals turned into spaces, lines kept.

    Paths in #include "..." stay, because rules read them.
    """

    def spaces(match):
        found = match.group()
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if match.group("string") and line.strip().startswith("#include"):
            return found
        hidden = re.sub(r"[^\n]", " ", found)
        return hidden if match.group("comment") else found[0] + hidden[1:-1] + found[-1]

    return _TOKEN.sub(spaces, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def closing(code, start):
    """The offset of the bracket that closes the one at `start`; the end if there is none."""
    pairs = {"(": ")", "[": "]", "{": "}"}
    opens, closes = code[start], pairs[code[start]]
    depth = 0
    for offset in range(start, len(code)):
        if code[offset] == opens:
            depth += 1
        elif code[offset] == closes:
            depth -= 1
            if depth == 0:
                return offset
    return len(code) - 1


@dataclasses.dataclass
class Function:
    name: str
    first_line: int
    last_line: int

    @property
    def length(self):
        return self.last_line - self.first_line + 1


_SCOPE = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b")
_NAME = re.compile(r"([~\w]+|operator\s*\S+)\s*\(")
_TRAILERS = {"const", "noexcept", "override", "final", "mutable", "try", "do", "else"}


def _is_member_initialiser(head):
    """Whether a brace after `head` initialises a member: `Foo::Foo(int x) : a_` {x}."""
    word = re.search(r"([\w>]+)\s*$", head)
    return bool(word and re.search(r"\)[^()]*?[^:]:[^:]", head)) and word[1] not in _TRAILERS


def functions(code):
    """The functions defined in blanked code, at namespace or class level."""
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda m: re.sub(r"[^\n]", " ", m[0]), code,
                  flags=re.MULTILINE)
    line_starts = [0] + [m.end() for m in re.finditer("\n", code)]
    line = lambda offset: bisect.bisect_right(line_starts, offset)
    found = []
    head_start = offset = 0
    while offset < len(code):
        character = code[offset]
        if character in ";}":
            head_start = offset + 1
        elif character == "(":
            offset = closing(code, offset)
        elif character == "{":
            head = code[head_start:offset]
            plain = re.sub(r"template\s*<[^{};]*?>\s*(?=\w)", "", head)
            name = _NAME.search(plain)
            if name and _is_member_initialiser(plain):
                offset = closing(code, offset)
            elif name and "=" not in plain[: name.start()]:
                end = closing(code, offset)
                first = head_start + len(head) - len(head.lstrip())
                found.append(Function(name[1], line(first), line(end)))
                offset = end
                head_start = end + 1
            elif _SCOPE.search(plain):
                head_start = offset + 1
            else:
                offset = closing(code, offset)
        offset += 1
    return found


def longest_initialiser(code, function):
    """How many lines the longest `= {...}` or `name{...}` in a function spans."""
    body = "\n".join(code.split("\n")[function.first_line : function.last_line])
    spans = [body.count("\n", match.end(), closing(body, match.end() - 1))
             for match in re.finditer(r"(?:=\s*|[\w\]>]\s*)\{", body)
             if not re.search(r"(?:else|do|try|const|noexcept)\s*\{$", match[0])]
    return max(spans, default=0)


@dataclasses.dataclass
class Lambda:
    offset: int
    captures: str
    body: str  # without the bodies of lambdas inside it


def lambdas(code):
    for match in re.finditer(r"(?<![\w\])\[])\s*\[(?!\[)|\breturn\s*\[(?!\[)", code):
        start = match.end() - 1
        end = closing(code, start)
        after = re.compile(r"\s*").match(code, end + 1).end()
        if code[after : after + 1] == "(":
            after = closing(code, after) + 1
        brace = re.compile(r"[^{};,)]*\{").match(code, after)
        if not brace:
            continue
        stop = closing(code, brace.end() - 1)
        body = code[brace.end() : stop]
        for inner in lambdas(body):
            body = body.replace(inner.body, " ") if inner.body.strip() else body
        yield Lambda(start, code[start + 1 : end].strip(), body)
