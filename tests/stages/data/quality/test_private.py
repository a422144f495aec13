"""What is taken for a secret or for somebody's data, and what is not."""

import pytest

from furrow.stages.data.quality.private import HIDDEN, masked, personal_data, secret

KEY = "-----BEGIN RSA " + "PRIVATE KEY-----"
TOKEN = "hf_" + "aB3dE6gH9jK2mN5pQ8sT1vW4"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Write to jane.doe@seedhouse.co.uk today.", "an e-mail address"),
        ("Call +44 20 7946 0018 now", "a telephone number"),
        ("Call (212) 867-5309", "a telephone number"),
        ("Card 4111 1111 1111 1111 is", "a card number"),
        ("To DE89 3704 0044 0532 0130 00, please", "a bank account number"),
        ("His is 219-09-9999", "a social security number"),
    ],
)
def test_personal_data_is_known_by_its_form(text, kind):
    assert personal_data(text) == f"holds {kind}"
    assert HIDDEN in masked(text) and personal_data(masked(text)) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Write to someone@example.com or root@localhost, never to no-reply@seedhouse.org",
        "In 2024-11-21 at 10:30:15.123456 version 1.2.3.4 of 1,000,000 rows",
        "Card 4111 1111 1111 1112 has a wrong check digit, and 0000 0000 0000 0000 is none",
        "DE88 3704 0044 0532 0130 00 has wrong check digits",
        "The film says 212-555-0134",
        "@user mentioned 3.14159265358979 and 192.168.0.1",
        "ISBN 978-3-16-148410-0, EAN 4006381333931",
        "f(a@b) = a @ b.T",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text):
    assert personal_data(text) is None and masked(text) == text


def test_secrets_are_found_and_never_said():
    for text in (f"use {TOKEN}", f"{KEY}\nMIIEow==", "rk_live_" + "0123456789abcdefXYZ"):
        why = secret(text)
        assert why is not None and TOKEN not in why and "MIIE" not in why
    assert secret("sk-learn and hf_hub are packages; https://git@github.com/a/b") is None
    assert "MIIE" not in masked(f"before {KEY}\nMIIEow==")
