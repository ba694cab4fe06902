"""Domains of e-mail addresses: one spelling to compare, and those of public mail services."""

import re

import idna

PUBLIC_SERVICES = re.compile(
    r"(?:aol|gmail|gmx|googlemail|hotmail|icloud|live|msn|outlook|proton|protonmail|yahoo|yandex|ymail|zoho|zohomail)"
    r"\.(?:com|net|org|me|ch|[a-z]{2}|com?\.[a-z]{2})"
)
"""Services with one name under many top-level domains."""

PUBLIC_DOMAINS = frozenset((
    "caiway.nl", "casema.nl", "chello.nl", "duck.com", "email.com", "fastmail.com", "fastmail.fm",
    "free.fr", "freenet.de", "hetnet.nl", "hey.com", "home.nl", "hushmail.com", "inbox.lv", "kpnmail.nl",
    "kpnplanet.nl", "laposte.net", "mac.com", "mail.com", "mail.ru", "mailbox.org", "me.com", "online.nl",
    "orange.fr", "passport.com", "planet.nl", "pm.me", "posteo.de", "posteo.net", "proximus.be",
    "quicknet.nl", "rocketmail.com", "scarlet.be", "sfr.fr", "skynet.be", "solcon.nl", "t-online.de",
    "tele2.nl", "telenet.be", "telfort.nl", "tuta.com", "tuta.io", "tutamail.com", "tutanota.com",
    "upcmail.nl", "wanadoo.fr", "web.de", "windowslive.com", "wxs.nl", "xs4all.nl", "zeelandnet.nl",
    "ziggo.nl", "zonnet.nl",
    # the Netherlands and Belgium
    "12move.nl", "belgacom.net", "casema.com", "concepts.nl", "dds.nl", "euronet.nl", "freeler.nl", "hccnet.nl",
    "kabelfoon.nl", "kabelfoon.net", "mail.be", "multiweb.nl", "onsbrabantnet.nl", "onsneteindhoven.nl", "orange.nl",
    "pandora.be", "planet.be", "plusnet.nl", "tiscali.nl", "tiscalinet.be", "upc.nl", "versatel.nl", "voo.be",
    "wanadoo.nl", "zeelandnet.com", "edpnet.be", "brutele.be", "startmail.com", "soverin.net", "delta.nl", "odido.nl",
    # Sweden, Norway, Denmark, Finland
    "bahnhof.se", "bredband.net", "bredband2.com", "comhem.se", "glocalnet.net", "home.se", "passagen.se", "spray.se",
    "swipnet.se", "tele2.se", "telia.com", "telia.se", "bredbandsbolaget.se", "ownit.se", "tre.se", "broadpark.no",
    "c2i.net", "chello.no", "frisurf.no", "getmail.no", "lyse.net", "online.no", "start.no", "tele2.no", "altibox.no",
    "ebnett.no", "hotmail.no", "c.dk", "city.dk", "dlgtele.dk", "fibermail.dk", "forum.dk", "get2net.dk", "jubii.dk",
    "jubiimail.dk", "mail.dk", "mail.tele.dk", "ofir.dk", "pc.dk", "post.tele.dk", "privat.dk", "sol.dk", "stofanet.dk",
    "tdcadsl.dk", "tdcspace.dk", "vip.cybercity.dk", "webspeed.dk", "youmail.dk", "elisanet.fi", "dnainternet.net",
    "iki.fi", "jippii.fi", "kolumbus.fi", "luukku.com", "luukku.fi", "mbnet.fi", "nic.fi", "phnet.fi", "pp.fi",
    "pp.inet.fi", "saunalahti.fi", "sci.fi", "suomi24.fi", "surffi.net", "welho.com", "inet.fi", "wippies.com",
    # Germany, Austria, Switzerland
    "arcor.de", "aon.at", "bluewin.ch", "chello.at", "email.de", "gmx.eu", "hispeed.ch", "kabelmail.de", "magenta.de",
    "netcologne.de", "online.de", "onlinehome.de", "sunrise.ch", "tutanota.de", "vodafone.de", "vodafonemail.de",
    "1und1.de", "a1.net", "eclipso.de", "freemail.de", "mail.de", "mein.gmx", "ewe.net", "ewetel.net", "osnanet.de",
    "versanet.de", "swissonline.ch", "vtxmail.ch", "unitybox.de", "o2mail.de", "o2online.de", "ok.de", "nexgo.de",
    # France, Italy, Spain, elsewhere
    "9online.fr", "aliceadsl.fr", "bbox.fr", "cegetel.net", "club-internet.fr", "dartybox.com", "neuf.fr", "noos.fr",
    "numericable.fr", "sfr.com", "voila.fr", "alice.it", "email.it", "fastwebnet.it", "inwind.it", "iol.it",
    "libero.it", "tim.it", "tin.it", "tiscali.it", "virgilio.it", "telefonica.net", "terra.es", "sapo.pt", "eircom.net",
    "blueyonder.co.uk", "btinternet.com", "btopenworld.com", "ntlworld.com", "sky.com", "talktalk.net",
    "tiscali.co.uk", "virginmedia.com", "virgin.net", "att.net", "bellsouth.net", "charter.net", "comcast.net",
    "cox.net", "earthlink.net", "juno.com", "sbcglobal.net", "verizon.net", "rogers.com", "shaw.ca", "sympatico.ca",
    "bigpond.com", "optusnet.com.au", "126.com", "139.com", "163.com", "qq.com", "foxmail.com", "sina.com", "sohu.com",
    "yeah.net", "daum.net", "hanmail.net", "naver.com", "rediffmail.com", "bol.com.br", "uol.com.br", "centrum.cz",
    "email.cz", "post.cz", "seznam.cz", "volny.cz", "azet.sk", "zoznam.sk", "interia.pl", "o2.pl", "onet.pl",
    "op.pl", "tlen.pl", "wp.pl", "abv.bg", "citromail.hu", "freemail.hu", "inbox.ru", "bk.ru", "list.ru", "rambler.ru",
    "ukr.net", "otenet.gr", "walla.co.il", "walla.com", "mail.ee", "hot.ee", "inbox.lt", "one.lt", "yopmail.com",
    "mailinator.com", "guerrillamail.com", "disroot.org", "riseup.net", "runbox.com", "skiff.com", "simplelogin.com",
    "anonaddy.me", "tuta.de", "keemail.me", "privaterelay.appleid.com",
))  # fmt: skip


def normalised(domain: str) -> str:
    """Return the domain in lower case and the spelling of DNS (`xn--…`), without a final dot."""
    text = domain.strip().rstrip(".").lower()
    try:
        return idna.encode(text, uts46=True, transitional=False).decode("ascii").lower().rstrip(".")
    except (idna.IDNAError, UnicodeError):
        return text


def domain_of(email: str) -> str:
    """Return the domain of an address; '' when it has none."""
    return normalised(email.rpartition("@")[2]) if "@" in email else ""


def is_public(domain: str) -> bool:
    """Tell whether anybody can have an address there, so that it says nothing about an employer."""
    name = normalised(domain)
    return name in PUBLIC_DOMAINS or PUBLIC_SERVICES.fullmatch(name) is not None
