"""What is secret, told by its form or because the environment holds it under such a name; nothing that Furrow shows or
writes holds it. What installed libraries write by themselves goes past here."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import netrc
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

TOKEN = re.compile(
    r"\b(hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{20,}|A[KS]IA[0-9A-Z]{16}"
    r"|xox[abprs]-[\w-]{10,}|(?<!-)eyJ[\w-]{10,}\.eyJ[\w-]{10,}|glpat-[\w-]{20,}|AIza[\w-]{35})"
)
"""Tokens of Hugging Face, OpenAI and its kin, GitHub, AWS, Slack, GitLab and Google, and signed web tokens. With the
look behind, each stretch of text is gone through once: 240 kB of `-eyJ` took two minutes."""
_WORDS = re.compile(r"[-_]")
_RUN = 12
"""`sk-wikipedia-20240101-cleaned` is a name: a token has letters and digits in one piece of this length."""
_WHO_ASKS = re.compile(r"(?<=://)(?:[^\s/?#@:\"'<>]*:[^\s/?#@\"'<>]+|[^\s/?#@:\"'<>]+)(?=@)")
"""The user and password of an address, `https://user:password@host`, or a token for both; `git` is none."""
_NAME = re.compile(
    r"(^|_)([A-Z]*(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|(API|ACCESS|PRIVATE|SECRET)KEY)|AUTHORIZATION"
    r"|KEY|PASS|PWD|DSN|COOKIE)S?\d*(_|$)|(^|_)(PAT|AUTH)\d*$",
    re.IGNORECASE,
)
"""Variables of such names hold one: HF_TOKEN, AWS_SECRET_ACCESS_KEY, PGPASSWORD, GITHUB_PAT; TOKENIZERS_PARALLELISM and
SSH_AUTH_SOCK do not."""
_SHORTEST, _LONG = 8, 16
"""Characters of a value that is looked for. Between the two it must have more than words in it: a development machine's
DB_PASSWORD=password would take that word out of every text."""
_WORD = re.compile(r"[^\W\d_]+([-_. ][^\W\d_]+)*|\d+")
HIDDEN = "(hidden: it looks like a secret)"


def is_secret_name(name: str) -> bool:
    """Whether a variable of that name holds a secret. LAB_API_KEY_HOST holds the name of a host."""
    return _NAME.search(name) is not None and name not in ("PWD", "OLDPWD") and not name.upper().endswith("_HOST")


def holds_secret(text: str) -> bool:
    """Whether a secret stands in the text."""
    known = any(secret in text for secret in _known())
    return known or any(map(_is_token, TOKEN.findall(text))) or any(map(_is_asking, _WHO_ASKS.findall(text)))


def scrubbed(text: str) -> str:
    """The text, each secret in it replaced, also where it is written as JSON, Python or an address write it."""
    for secret in _known():
        if secret in text:
            text = text.replace(secret, HIDDEN)
    text = TOKEN.sub(lambda found: HIDDEN if _is_token(found[0]) else found[0], text)
    return _WHO_ASKS.sub(lambda found: HIDDEN if _is_asking(found[0]) else found[0], text)


def scrubbed_values(value: Any) -> Any:
    """The same for every text in lists and objects."""
    if isinstance(value, str):
        return scrubbed(value)
    if isinstance(value, Mapping):
        return {name: scrubbed_values(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(scrubbed_values(inner) for inner in value)
    return value


def environment_without_secrets() -> dict[str, str]:
    """The environment for a program that has no use for them."""
    return {name: value for name, value in os.environ.items() if not is_secret_name(name) and not holds_secret(value)}


def _is_token(text: str) -> bool:
    """Of what has the form of a token: `sk-` begins names of files, too."""
    pieces = (piece for piece in _WORDS.split(text) if len(piece) >= _RUN)
    return not text.startswith("sk-") or any(not piece.isalpha() and not piece.isdecimal() for piece in pieces)


def _is_asking(text: str) -> bool:
    """Of what stands before the @ of an address."""
    return ":" in text or _is_telling(text)


def _is_telling(value: str) -> bool:
    """Whether nobody would write the value by chance."""
    return len(value) >= _LONG or (len(value) >= _SHORTEST and _WORD.fullmatch(value) is None)


def _known() -> tuple[str, ...]:
    """Values, the longest first: one may stand in another."""
    return _of(frozenset(os.environ.items()))


@functools.lru_cache(maxsize=4)
def _of(environment: frozenset[tuple[str, str]]) -> tuple[str, ...]:
    found = {value for name, value in environment if is_secret_name(name)} | set(_in_files(dict(environment)))
    for _, value in environment:
        for asked in _WHO_ASKS.findall(value):
            user, colon, password = asked.partition(":")
            plain = f"{unquote(user)}:{unquote(password)}".encode(errors="surrogateescape")
            # as HTTP sends it; servers quote it back in their errors
            found |= {
                password if colon else user,
                unquote(password if colon else user),
                base64.b64encode(plain).decode(),
            }
    values = (value.strip() for value in found)
    kept = {form for each in values if _is_telling(each) and not _is_path(each) for form in _written(each)}
    return tuple(sorted(kept, key=len, reverse=True))


def _written(value: str) -> Iterator[str]:
    """As it is, and as JSON, Python and an address write it; they differ where a quote, a backslash or a letter beyond
    ASCII stands in it."""
    yield from (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1])
    yield quote(value, safe="", errors="surrogateescape")


def _is_path(value: str) -> bool:
    """GOOGLE_APPLICATION_CREDENTIALS and its like name the file that holds it."""
    try:
        return value.startswith(("/", "~", ".")) and Path(value).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def _in_files(environment: Mapping[str, str]) -> Iterator[str]:
    """What `hf auth login` and `wandb login` keep at home."""
    home = Path(environment.get("HOME") or "/nowhere")
    cache = Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "huggingface"
    hub = Path(environment.get("HF_HOME") or cache) / "token"
    with contextlib.suppress(OSError, ValueError):
        yield Path(environment.get("HF_TOKEN_PATH") or hub).read_text(encoding="utf-8")
    with contextlib.suppress(OSError, ValueError, netrc.NetrcParseError):
        hosts = netrc.netrc(environment.get("NETRC") or home / ".netrc").hosts
        yield from [password for _, _, password in hosts.values() if password]
