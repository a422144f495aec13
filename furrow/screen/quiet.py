"""Our own progress says what is going on; the libraries' bars and deprecations would only break its lines."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from typing import Any

from furrow.screen.text import message

PROGRESS_BARS_OFF = "HF_HUB_DISABLE_PROGRESS_BARS"
"""huggingface_hub reads it when it is imported, and transformers follows it."""
_OF_DATASETS = "HF_DATASETS_DISABLE_PROGRESS_BARS"


def quieten_libraries() -> None:
    """Turns off the bars of transformers and huggingface_hub, and warnings addressed to programmers.

    Called by commands that do heavy work, before they import it: a request that is refused first costs no import
    (transformers: 0.7 s). Errors and the libraries' own warnings stay; whoever has set the variable keeps it.
    """
    for variable in (PROGRESS_BARS_OFF, _OF_DATASETS):
        os.environ.setdefault(variable, "1")
    if "transformers" in sys.modules:  # too late for the variable, as in a test
        from transformers.utils import logging as their_logging

        their_logging.disable_progress_bar()
    _take_out_control_sequences()
    for category in (FutureWarning, DeprecationWarning):
        warnings.simplefilter("ignore", category)
    # It says at every product of int8 that inputs are rounded, and on import that a kernel of the hub is not installed.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def _take_out_control_sequences() -> None:
    """Of what libraries warn of: it names models, and quotes what stands in their files."""
    made, formatted = logging.getLogRecordFactory(), warnings.formatwarning
    if getattr(made, "plain", False):
        return

    def record(*arguments: Any, **named: Any) -> logging.LogRecord:
        made_record = made(*arguments, **named)
        with contextlib.suppress(
            TypeError, ValueError
        ):  # a library's own mistake; logging reports it where it is shown
            made_record.msg, made_record.args = message(made_record.getMessage()), ()
        return made_record

    record.plain = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(record)
    warnings.formatwarning = lambda *given, **named: message(formatted(*given, **named))
