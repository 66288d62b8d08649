"""Command line: python -m tests.simulator.accuracy DIR [--warehouse customers.duckdb]

Prints the scores of the oracle bound, the baselines and (with a warehouse) the pipeline for one
simulated run, overall and per kind of transition.
"""

import argparse
from pathlib import Path

from .evaluation import HEADER, evaluate, format_row, load, pipeline_customers, references


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator.accuracy", description=__doc__)
    parser.add_argument("run", type=Path, help="folder written by python -m tests.simulator")
    parser.add_argument("--warehouse", type=Path, help="published DuckDB file to score")
    args = parser.parse_args()
    truth = load(args.run / "truth")
    systems = references(truth)
    if args.warehouse:
        systems = {"pipeline": pipeline_customers(truth, args.warehouse)} | systems
    print(HEADER)
    for name, groups in evaluate(truth, systems).items():
        for group, scores in groups.items():
            print(format_row(name if group == "all" else f"  {name}: {group}"[:34], scores))


if __name__ == "__main__":
    main()
