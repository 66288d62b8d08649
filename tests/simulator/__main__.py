"""Command line: python -m tests.simulator --profile base --persons 60000 --seed 1 --out DIR"""

import argparse
import time
from pathlib import Path

from .profile import PROFILES, with_overrides
from .simulate import persons_for, simulate


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--profile", choices=sorted(PROFILES), default="base")
    parser.add_argument("--persons", type=int, default=60_000)
    parser.add_argument("--events", type=int, help="webhook updates; sets the number of persons")
    parser.add_argument("--years", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--rate",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="replace one rate of the profile; may be repeated",
    )
    args = parser.parse_args()
    begun = time.perf_counter()
    profile = with_overrides(PROFILES[args.profile], dict(rate.split("=", 1) for rate in args.rate))
    persons = args.persons
    if args.events:
        persons = persons_for(profile, args.events, args.years, args.seed)
    summary = simulate(profile, persons, args.years, args.seed, args.out, args.workers)
    seconds = time.perf_counter() - begun
    print(
        f"{profile.name}: {persons} persons, {summary['updates']} updates in "
        f"{summary['lines']} lines, {summary['files']} files, "
        f"{summary['bytes'] / 1e6:.0f} MB, {seconds:.1f} s"
    )


if __name__ == "__main__":
    main()
