"""Strategies are verified without what does the work, and quickly."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "transformers", "datasets", "llama_cpp", "peft", "accelerate", "gguf", "jinja2", "numpy")


def test_loading_every_shipped_strategy_imports_nothing_heavy():
    program = (
        "import sys\n"
        "from furrow.strategies import files, json_schema, reference\n"
        "[files.filled_yaml(loaded.strategy) for loaded in files.load_all()]\n"
        "json_schema.file_schema(); reference.reference()\n"
        "try: files.load('demo_minimal', None, ['training_args.lr=1'])\n"
        "except files.StrategyErrors: pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
