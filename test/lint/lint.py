"""What ./dev lint does: the rules, clang-format, then clang-tidy on the files that changed.

--all gives clang-tidy every source; --no-tidy leaves it out. Changed means: against origin/main,
or without one against the last commit but one, and whatever is not committed yet.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

import rules

ROOT = pathlib.Path(__file__).resolve().parents[2]


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.split() if done.returncode == 0 else None


def check_rules():
    tree = rules.Tree.of_repository(ROOT)
    findings = [finding for rule in rules.RULES for finding in rule(tree)]
    for finding in findings:
        print(finding)
    return not findings


def check_format():
    sources = git("ls-files", "--cached", "--others", "--exclude-standard", "*.cc", "*.h")
    present = [source for source in sources if (ROOT / source).is_file()]
    done = subprocess.run(["clang-format-19", "--dry-run", "-Werror", *present], cwd=ROOT)
    return done.returncode == 0


def changed_sources():
    """The changed sources, and the sources beside changed headers."""
    base = git("merge-base", "HEAD", "origin/main") or git("rev-parse", "HEAD~1") or ["HEAD"]
    if base == git("rev-parse", "HEAD"):
        base = git("rev-parse", "HEAD~1") or base
    changed = set(git("diff", "--name-only", base[0]) or [])
    changed |= set(git("ls-files", "--others", "--exclude-standard") or [])
    return changed | {path[:-2] + ".cc" for path in changed if path.endswith(".h")}


def tidy(source):
    done = subprocess.run(["clang-tidy-19", "--quiet", "-p", "build/asan", source], cwd=ROOT,
                          capture_output=True, text=True)
    return done.returncode == 0, done.stdout


def check_tidy(everything):
    commands = json.loads((ROOT / "build/asan/compile_commands.json").read_text())
    sources = {os.path.relpath(command["file"], ROOT) for command in commands}
    sources = {source for source in sources if source.startswith(("src/", "examples/", "test/"))}
    if not everything:
        sources &= changed_sources()
    print(f"clang-tidy: {len(sources)} files", flush=True)
    ok = True
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for passed, output in pool.map(tidy, sorted(sources)):
            ok &= passed
            if not passed:
                print(output, flush=True)
    return ok


def main():
    parser = argparse.ArgumentParser(prog="./dev lint", description=__doc__)
    parser.add_argument("--all", action="store_true", help="clang-tidy on every source")
    parser.add_argument("--no-tidy", action="store_true", help="without clang-tidy")
    arguments = parser.parse_args()
    ok = check_rules()
    ok &= check_format()
    if not arguments.no_tidy:
        ok &= check_tidy(arguments.all)
    print("lint: all is well" if ok else "lint: see above")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
