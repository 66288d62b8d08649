"""A cluster on this machine: two workers with a core each, so that rows are shuffled and functions are shipped.

The data is small: what Java would compile for it takes longer than it saves.
"""

import os

os.environ.setdefault(
    "PYSPARK_SUBMIT_ARGS",
    "--master local-cluster[2,1,2048] --driver-memory 2g --conf spark.ui.enabled=false "
    "--conf spark.sql.shuffle.partitions=4 --conf spark.sql.codegen.wholeStage=false "
    "--conf spark.sql.codegen.factoryMode=NO_CODEGEN --driver-java-options -XX:TieredStopAtLevel=1 "
    "--conf spark.executor.extraJavaOptions=-XX:TieredStopAtLevel=1 pyspark-shell",
)
