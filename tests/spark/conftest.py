"""A cluster on this machine: two workers with a core each, so that rows are shuffled and functions are shipped."""

import os

os.environ.setdefault(
    "PYSPARK_SUBMIT_ARGS",
    "--master local-cluster[2,1,2048] --driver-memory 2g --conf spark.ui.enabled=false "
    "--conf spark.sql.shuffle.partitions=4 pyspark-shell",
)
