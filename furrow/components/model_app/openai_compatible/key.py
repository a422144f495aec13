"""The key of a server: held by a variable of the environment, and given to the one host that the environment names."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from furrow.components.errors import RequestError

_PORTS = {"http": 80, "https": 443}


def key_for(base_url: str, name: str | None) -> str | None:
    """What the variable holds, for this server; None where no variable is named.

    Raises RequestError where it is not set, is no key, or where `<name>_HOST` does not name this host.
    """
    if name is None:
        return None
    where = "model_app.config.api_key_env"
    key = os.environ.get(name, "").strip()
    if not key:
        raise RequestError(f"the variable {name} is not set", where=where, remedy=f"export {name}=… with the key")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise RequestError(f"what the variable {name} holds is no key", where=where, remedy="set it to the key alone")
    parts = urlsplit(base_url)
    host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
    allowed = os.environ.get(f"{name}_HOST", "").strip().lower()
    if allowed not in _spellings(host, port, default=port == _PORTS[parts.scheme]):
        said = f"is {allowed!r}" if allowed else "is not set"
        raise RequestError(
            f"{name} is not for {host}:{port}: the variable {name}_HOST, which says who may have the key, {said}",
            where=where,
            remedy=f"if you mean this server: export {name}_HOST={host}:{port}",
        )
    return key


def _spellings(host: str, port: int, *, default: bool) -> set[str]:
    name = f"[{host}]" if ":" in host else host
    return {f"{name}:{port}", *({name, host} if default else ())}
