import contextlib
import os
import sys

from orchestration.cli import main

code = main()
for stream in (sys.stdout, sys.stderr):
    with contextlib.suppress(OSError):
        stream.flush()
# not the long way out: it takes a second, and DuckDB aborts when Python ends under a query that dbt still has under way
os._exit(code)
