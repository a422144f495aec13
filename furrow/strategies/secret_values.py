"""Tells access tokens by their form, so that none is shown, and none gets into a file saved beside a model."""

from __future__ import annotations

import re

TOKEN = re.compile(
    r"\b(hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{20,}|AKIA[0-9A-Z]{16}"
    r"|xox[abprs]-[\w-]{10,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,})"
)
"""Tokens of Hugging Face, OpenAI and its kin, GitHub, AWS and Slack, and signed web tokens."""

HIDDEN = "(hidden: it looks like a secret)"


def holds_token(text: str) -> bool:
    """Whether an access token stands in the text."""
    return TOKEN.search(text) is not None


def scrubbed(text: str) -> str:
    """The text, each token in it replaced."""
    return TOKEN.sub(HIDDEN, text)
