"""Splits a dataset into a file to learn and a file to evaluate on: the command `split` under its guide's name.

python demos/create_data_split.py --input data.jsonl --eval-percent 10
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from furrow.cli import main

if __name__ == "__main__":
    main(["split", *sys.argv[1:]])
