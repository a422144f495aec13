"""Which of the built-in templates a tokenizer has the tokens for."""

from __future__ import annotations

from furrow.components.errors import RequestError
from furrow.components.prompt_template import TokenizerFacts
from furrow.components.prompt_template.builtin.table import TABLE, BuiltIn


def fitting(tokenizer: TokenizerFacts) -> list[str]:
    """Names of the templates whose turns end with a token that it has; those all of whose tokens it has come first."""
    names = [name for name, row in TABLE.items() if row.end is None or is_one_token(tokenizer, row.end)]
    return sorted(names, key=lambda name: not _has_all(TABLE[name], tokenizer))


def refuse_unfit_end(end: str | None, tokenizer: TokenizerFacts, name: str) -> None:
    """Raises RequestError where the token that ends an answer is none of the tokenizer's: it would be cut into pieces,
    and a server that waits for one token would never see it."""
    if end is None or end == tokenizer.eos_token or is_one_token(tokenizer, end):
        return
    raise RequestError(
        f"{name} ends an answer with {end!r}, which is no single token of this tokenizer",
        where="prompt_template",
        remedy=f"its tokens fit {', '.join(fitting(tokenizer))}; or use prompt_template.format",
    )


def is_one_token(tokenizer: TokenizerFacts, text: str) -> bool:
    """True too where there is no tokenizer yet, only facts about one."""
    if not callable(tokenizer):
        return True
    return len(tokenizer(text, add_special_tokens=False).input_ids) == 1


def _has_all(row: BuiltIn, tokenizer: TokenizerFacts) -> bool:
    tokens = (*row.markers, *([row.end] if row.end else []))
    return bool(tokens) and callable(tokenizer) and all(is_one_token(tokenizer, token) for token in tokens)
