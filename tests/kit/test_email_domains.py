"""Domains of e-mail addresses: public ones, and the normal form for comparisons."""

import pytest

from koppel.organisations.domain_names import is_public, normalised


@pytest.mark.parametrize(
    "domain",
    [
        "online.no",
        "telia.com",
        "comhem.se",
        "bredband.net",
        "spray.se",
        "jubii.dk",
        "mail.dk",
        "luukku.com",
        "pp.fi",
        "kolumbus.fi",
        "QQ.com",
        "seznam.cz",
        "libero.it",
        "bluewin.ch.",
        "tutanota.de",
        "neuf.fr",
        "voo.be",
    ],
)
def test_public_mail_domains_are_recognised(domain: str) -> None:
    assert is_public(domain)


def test_two_domains_that_differ_stay_two() -> None:
    assert normalised("straße.de") != normalised("strasse.de")
    assert normalised("STRASSE.de.") == normalised("strasse.de")
    assert normalised("Café.nl") == normalised("xn--caf-dma.nl")
    assert normalised("a_b.nl") == "a_b.nl"
