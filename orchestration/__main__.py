import os
import sys

from orchestration.cli import main

if code := main():
    # threads of dbt may still be in a query, and DuckDB aborts when Python ends under them
    os._exit(code)
sys.exit()
