"""Time until ``cli.py --help`` has printed, against ``python -c pass``, in turn.

python benchmarks/start_up.py [--repeats N]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

TARGET = 0.25
PROGRAM = str(Path(__file__).resolve().parents[1] / "cli.py")


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    commands = {"python -c pass": ["-c", "pass"], "cli.py --help": [PROGRAM, "--help"]}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(args.repeats):
        for name, arguments in commands.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - began)
    bare, ours = (statistics.median(values) for values in seconds.values())
    print(f"python -c pass {bare:.3f} s, cli.py --help {ours:.3f} s: {ours - bare:+.3f} s (target at most +{TARGET} s)")


if __name__ == "__main__":
    main()
