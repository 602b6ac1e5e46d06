"""Tells every story of the simulation with many seeds, on all cores, and says which ones failed.

A seed that failed alone is what a bug report needs: it replays the failure to the letter.
"""

import argparse
import concurrent.futures
import os
import subprocess
import sys
import time

CHUNK = 20  # seeds of one process; one that dies says nothing of which of them it was
SHOWN_MAX = 5  # failing seeds; one cause mostly shows with many
LINES_MAX = 40  # of one failing seed's output
WITHOUT_SEED = "CronJobs.*"  # tests of one fixed course


def run(program, seeds, **environment):
    """(whether all went well, what was said)"""
    done = subprocess.run(
        [program, "--gtest_brief=1", f"--gtest_filter=-{WITHOUT_SEED}"], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
        env={**os.environ, "TULLE_SIM_SEEDS": seeds, **environment}, check=False)
    return done.returncode == 0, done.stdout


def failing_seeds(program, first, last):
    """Seed → what it said. One after the other only where some of them failed."""
    if run(program, f"{first}-{last}")[0]:
        return {}
    said = {seed: run(program, str(seed)) for seed in range(first, last + 1)}
    return {seed: text for seed, (well, text) in said.items() if not well}


def tell_why(text):
    """Without the log of the simulated cluster, which `--seed` shows in full."""
    lines = [line for line in text.splitlines() if not line[:2] == "20"]
    return "\n".join(lines[:LINES_MAX])


def run_all(program, first, count, jobs):
    begin, failed, told = time.monotonic(), {}, 0
    last = first + count - 1
    starts = range(first, last + 1, CHUNK)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        chunks = {pool.submit(failing_seeds, program, start, min(start + CHUNK - 1, last)): start
                  for start in starts}
        for chunk in concurrent.futures.as_completed(chunks):
            told += min(CHUNK, last - chunks[chunk] + 1)
            for seed, text in chunk.result().items():
                failed[seed] = text
                if len(failed) <= SHOWN_MAX:
                    print(f"\nseed {seed} fails; see it again with: ./dev sim --seed {seed}\n"
                          f"{tell_why(text)}", flush=True)
            if len(failed) > SHOWN_MAX:
                pool.shutdown(cancel_futures=True)
                break
    took = time.monotonic() - begin
    if not failed:
        print(f"{count} seeds ({first} to {last}) in {took:.0f} s: nothing failed")
        return 0
    print(f"\n{len(failed)} of {told} seeds failed in {took:.0f} s: "
          f"{' '.join(map(str, sorted(failed)))}")
    return 1


def main():
    parser = argparse.ArgumentParser(prog="./dev sim", description=__doc__.splitlines()[0])
    parser.add_argument("count", nargs="?", type=int, default=1000, help="how many (1000)")
    parser.add_argument("--seed", type=int, help="this one alone, with all that happens in it")
    parser.add_argument("--first", type=int, default=1, help="the first of them (1)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--program", default="build/release/test/sim_test")
    options = parser.parse_args()
    if options.seed is None:
        return run_all(options.program, options.first, options.count, options.jobs)
    well, text = run(options.program, str(options.seed), TULLE_SIM_TRACE="1")
    print(text)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
