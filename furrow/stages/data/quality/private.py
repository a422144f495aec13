"""Secrets and personal data in a text, by their form and, where they have one, their check digits. Knows no names of
people and no addresses of houses: those need a model."""

from __future__ import annotations

import re
from collections.abc import Iterator

from furrow.components.secrets import holds_secret

_KEY = re.compile(
    r"-----BEGIN (?:[A-Z]{1,20} ){0,3}PRIVATE KEY-----"
    r"|\b[rs]k_live_[0-9a-zA-Z]{16,}|\bnpm_[A-Za-z0-9]{30,}|\bSG\.[\w-]{16,}\.[\w-]{16,}"
)
"""Private keys in PEM, and tokens of Stripe, npm and SendGrid; `components/secrets.py` knows the others."""
_MAY_BE_SECRET = re.compile(r"hf_|sk-|gh[pousr]_|github_pat_|A[KS]IA|xox[abprs]-|eyJ|glpat-|AIza|://")
"""One of these stands in whatever has the form of a secret; a search for all of them at once."""
_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24}\b")
_EXAMPLE = re.compile(
    r"@(?:.*\.)?(?:example\.(?:com|org|net)|example|test|invalid|localhost|local)$|^(?:no-?reply)@", re.I
)
"""Addresses that nobody has (RFC 2606) or that are nobody's."""
_PHONE = re.compile(
    r"(?<![\w+.])\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){2,4}(?![\w-])"
    r"|(?<![\w.-])(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4}(?![\w-])"
)
"""International with its +, or as it is written in North America. Other national forms look like any number."""
_FICTION = re.compile(r"555[ .-]01\d\d$")
"""Numbers that are kept for films."""
_CARD = re.compile(r"(?<![\w.-])\d{4}([ -]?)\d{4}\1\d{4}\1\d{1,7}(?![\w-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_SSN = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w-])")
_MAY_BE_PERSONAL = re.compile(r"@|\d[ .()-]?\d[ .()-]?\d[ .()-]?\d")
HIDDEN = "(hidden)"


def secret(text: str) -> str | None:
    """Why, where an access token, a password in an address or a private key stands in it; never the secret itself."""
    if _KEY.search(text):
        return "holds a private key or an access token"
    return "holds an access token or a password" if _MAY_BE_SECRET.search(text) and holds_secret(text) else None


def personal_data(text: str) -> str | None:
    """Why, where there is some; never what it is."""
    kinds = dict.fromkeys(kind for kind, _ in _personal(text))
    return f"holds {' and '.join(kinds)}" if kinds else None


def masked(text: str) -> str:
    """The text without personal data and private keys, for a report; `components/secrets.py` takes out tokens."""
    for _, found in sorted(_personal(text), key=lambda each: -len(each[1])):
        text = text.replace(found, HIDDEN)
    key = re.search(r"-----BEGIN [A-Z ]{0,60}PRIVATE KEY-----", text)
    return _KEY.sub(HIDDEN, text[: key.start()] + HIDDEN if key else text)


def _personal(text: str) -> Iterator[tuple[str, str]]:
    """(kind, as it is written)"""
    if not _MAY_BE_PERSONAL.search(text):
        return
    if "@" in text:
        yield from (("an e-mail address", each[0]) for each in _EMAIL.finditer(text) if not _EXAMPLE.search(each[0]))
    for each in _PHONE.finditer(text):
        if 8 <= sum(map(str.isdigit, each[0])) <= 15 and not _FICTION.search(each[0]):
            yield "a telephone number", each[0]
    yield from (("a card number", each[0]) for each in _CARD.finditer(text) if _is_card(each[0]))
    yield from (("a bank account number", each[0]) for each in _IBAN.finditer(text) if _is_iban(each[0]))
    yield from (("a social security number", each[0]) for each in _SSN.finditer(text))


def _is_card(text: str) -> bool:
    """ISO/IEC 7812: 13 to 19 digits, the last one checks the others (Luhn)."""
    digits = [int(digit) for digit in text if digit.isdigit()]
    doubled = [2 * digit - 9 * (digit > 4) if place % 2 else digit for place, digit in enumerate(reversed(digits))]
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and sum(doubled) % 10 == 0


def _is_iban(text: str) -> bool:
    """ISO 13616: country and check digits moved behind, letters as numbers from 10 on, the remainder by 97 is 1."""
    plain = text.replace(" ", "")
    return 15 <= len(plain) <= 34 and int("".join(str(int(each, 36)) for each in plain[4:] + plain[:4])) % 97 == 1
