"""Where Ollama answers: every spelling of OLLAMA_HOST that Ollama itself takes becomes one URL.

Source: Ollama's envconfig/config.go (v0.33).
"""

from __future__ import annotations

import ipaddress
import os
import re
from urllib.parse import urlsplit

from furrow.components.errors import RequestError

_SCHEME_PORTS = {"http": "80", "https": "443"}
_DEFAULT_PORT = "11434"


def base_url(given: str | None = None) -> str:
    """`scheme://host:port[/path]` from `given`, else from OLLAMA_HOST, else Ollama's default, http://127.0.0.1:11434.

    Takes what Ollama takes: `host`, `host:port`, `:port`, `[::1]:port`; with a scheme, whose port is then the default;
    with a path. An address to listen on (0.0.0.0, ::) means this machine. Raises RequestError for anything else.
    """
    text = (os.environ.get("OLLAMA_HOST", "") if given is None else given).strip("\"' \t\r\n")
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = ("https", "ollama.com:443") if text == "ollama.com" else ("http", text)
    address, _, path = rest.partition("/")
    host, port = _host_and_port(address)
    port = port or (_SCHEME_PORTS.get(scheme, "") if separator else _DEFAULT_PORT)
    legal_port = re.fullmatch(r"[0-9]{1,5}", port) and int(port) <= 65535
    if scheme not in _SCHEME_PORTS or not legal_port or not re.fullmatch(r"[\w.:%-]+/[\w./~-]*", f"{host}/{path}"):
        raise RequestError(
            f"{text.rpartition('@')[2]!r} is no address of an Ollama server",  # what stands before @ is a secret
            where="OLLAMA_HOST" if given is None else "host",
            remedy="write host:port, e.g. 127.0.0.1:11434, or http://host:port",
        )
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/{path}".rstrip("/")


def is_loopback(url: str) -> bool:
    """Does the URL mean this machine?"""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host_and_port(address: str) -> tuple[str, str]:
    if address.startswith("["):
        host, _, port = address[1:].partition("]")
        port = port.removeprefix(":")
    elif address.count(":") == 1:
        host, _, port = address.partition(":")
    else:
        host, port = address, ""  # a name, or an IPv6 address without brackets
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port
