"""Adds up what ctest and pytest left in a results folder, and prints one closing line.

A unit test counts once for each of its GoogleTest cases; a test program that wrote no report (it
crashed) or that failed although all its cases passed (a sanitizer spoke at its end) counts as one
failure.
"""

import json
import pathlib
import sys
import xml.etree.ElementTree as xml


def gtest_counts(report):
    passed = failed = skipped = 0
    for suite in json.loads(report.read_text()).get("testsuites", []):
        for case in suite.get("testsuite", []):
            if case.get("failures"):
                failed += 1
            elif case.get("result") == "SKIPPED":
                skipped += 1
            elif case.get("status") == "RUN":
                passed += 1
    return passed, failed, skipped


def ctest_counts(junit, gtest_folder):
    total = [0, 0, 0]
    for case in xml.parse(junit).getroot().iter("testcase"):
        ok = case.get("status") == "run"
        report = gtest_folder / f"{case.get('name')}_test.json"
        counts = gtest_counts(report) if report.is_file() else (int(ok), 0, 0)
        if not ok and counts[1] == 0:
            counts = (counts[0], 1, counts[2])
        total = [a + b for a, b in zip(total, counts)]
    return total


def pytest_counts(junit):
    passed = failed = skipped = 0
    for case in xml.parse(junit).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            failed += 1
        elif "skipped" in kinds:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def main():
    results = pathlib.Path(sys.argv[1])
    total = [0, 0, 0]
    for junit in sorted(results.glob("*.xml")):
        counts = (
            ctest_counts(junit, results / "gtest")
            if junit.name == "ctest.xml"
            else pytest_counts(junit)
        )
        total = [a + b for a, b in zip(total, counts)]
    passed, failed, skipped = total
    print(f"\n{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
