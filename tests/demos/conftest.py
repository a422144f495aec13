"""The demos are scripts, no package of Furrow's: their folder is put on the path as running one of them does."""

from __future__ import annotations

import sys
from pathlib import Path

DEMOS = Path(__file__).parents[2] / "demos"

if str(DEMOS) not in sys.path:
    sys.path.insert(0, str(DEMOS))
