"""Makes what the built-in model `seedling` is made of, and publishes its weights once they are trained.

python demos/seedling.py prepare                    data sets, tokenizer and architecture
python cli.py train --strategy seedling_pretrain    the weights
python demos/seedling.py publish --run RUN          the weights into the package, with card and manifest
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from almanac import corpus, preferences, questions, topics
from almanac.blank_model import write_blank
from almanac.measure import measure
from almanac.published_model import publish

from furrow.components.base_models import BUILT_IN
from furrow.components.disk.publish import publish_text
from furrow.components.errors import FurrowError

DATASETS = Path(__file__).parent / "datasets" / "almanac"
MODEL = BUILT_IN["seedling"]
DOCUMENTS, SEED = 12_000, 7
QUESTION_WEIGHT = 20
"""How often the tokenizer sees each question, about one crop, beside every statement about all of them."""


def prepare(datasets: Path, model: Path) -> None:
    """Writes the data sets into `datasets`, tokenizer and architecture into `model`: the same bytes each time.

    Raises RequestError if `model` holds weights that were trained with another tokenizer or architecture.
    """
    _write_jsonl(datasets / "almanac_corpus.jsonl", ({"text": text} for text in corpus.documents(DOCUMENTS, SEED)))
    _write_jsonl(datasets / "almanac_qa.jsonl", questions.training_rows())
    _write_jsonl(datasets / "almanac_heldout.jsonl", questions.held_out_rows())
    _write_jsonl(datasets / "almanac_pairs.jsonl", preferences.training_rows())
    _write_jsonl(datasets / "almanac_pairs_heldout.jsonl", preferences.held_out_rows())
    _write_jsonl(datasets / "almanac_topics.jsonl", topics.training_rows())
    _write_jsonl(datasets / "almanac_topics_heldout.jsonl", topics.held_out_rows())
    write_blank(model, corpus.every_statement() + questions.every_wording() * QUESTION_WEIGHT)


def _write_jsonl(path: Path, rows: Iterable[dict[str, str]]) -> None:
    publish_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    print(f"wrote {path}")


def main(arguments: list[str]) -> int:
    """Runs one of the two commands; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    preparing = commands.add_parser("prepare", help="write data sets, tokenizer and architecture")
    preparing.add_argument(
        "--datasets", type=Path, default=DATASETS, help="folder of the data sets (default: %(default)s)"
    )
    preparing.add_argument("--output", type=Path, default=MODEL, help="folder of the model (default: %(default)s)")
    publishing = commands.add_parser("publish", help="put trained weights into the package")
    publishing.add_argument("--run", type=Path, required=True, help="the run folder of seedling_pretrain")
    publishing.add_argument("--output", type=Path, default=MODEL, help="folder of the model (default: %(default)s)")
    given = parser.parse_args(arguments)
    try:
        if given.command == "prepare":
            prepare(given.datasets, given.output)
        else:
            publish(given.run, MODEL, given.output, measure)
            print(f"wrote {given.output}")
    except FurrowError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
