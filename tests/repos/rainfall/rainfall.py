#!/usr/bin/env python3
"""Monthly rainfall: prints a table, and draws which months are wetter than the year's mean as a graph."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

here = Path(__file__).parent
data = pd.read_csv(here / "data" / "rainfall.csv", index_col="month")
data["mean"] = data.mean(axis="columns").round(1)
wet = data.index[data["mean"] > np.mean(data["mean"])]
print(data.to_string())
print("wet months:", ", ".join(wet))

graph = "graph rainfall { wet; " + " ".join(f'wet -- "{month}";' for month in wet) + " }"
chart = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("rainfall.svg")
chart.write_bytes(subprocess.run(["dot", "-Tsvg"], input=graph.encode(), capture_output=True, check=True).stdout)
print("chart:", chart)
