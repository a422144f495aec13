"""Our own progress says what is going on; the libraries' bars and deprecations would only break its lines."""

from __future__ import annotations

import logging
import os
import sys
import warnings

PROGRESS_BARS_OFF = "HF_HUB_DISABLE_PROGRESS_BARS"
"""huggingface_hub reads it when it is imported, and transformers follows it."""


def quieten_libraries() -> None:
    """Turns off the bars of transformers and huggingface_hub, and warnings addressed to programmers.

    Called by commands that do heavy work, before they import it: a request that is refused first costs no import
    (transformers: 0.7 s). Errors and the libraries' own warnings stay; whoever has set the variable keeps it.
    """
    os.environ.setdefault(PROGRESS_BARS_OFF, "1")
    if "transformers" in sys.modules:  # too late for the variable, as in a test
        from transformers.utils import logging as their_logging

        their_logging.disable_progress_bar()
    for category in (FutureWarning, DeprecationWarning):
        warnings.simplefilter("ignore", category)
    # It says at every product of int8 that inputs are rounded, and on import that a kernel of the hub is not installed.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
