"""Data of five countries for plausible books: names, cities, charts of accounts, VAT codes."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, kw_only=True)
class Country:
    code: str
    language: str
    currency: str
    cities: tuple[str, ...]
    trades: tuple[str, ...]
    families: tuple[str, ...]
    form: str
    vat: Callable[[str], str]
    vat_codes: list[tuple[str, str, str, Decimal]]
    invoice: str
    bill: str
    payment: str
    transfer: str
    days: str

    def name(self, dice: random.Random, qualifier: str = "") -> str:
        """Return a made-up name; a city may distinguish it from others with the same name."""
        parts = (dice.choice(self.trades), dice.choice(self.families), qualifier, self.form)
        return " ".join(filter(None, parts))


def _digits(number: str) -> str:
    return "".join(filter(str.isdigit, number))


def _vat_codes(rates: tuple[str, ...], labels: tuple[str, str]) -> list[tuple[str, str, str, Decimal]]:
    out = [
        (f"{index}1", f"{labels[0]} {rate} %", "Output", Decimal(rate)) for index, rate in enumerate(rates, 1)
    ]
    return out + [
        (f"{index}2", f"{labels[1]} {rate} %", "Input", Decimal(rate)) for index, rate in enumerate(rates, 1)
    ]


COUNTRIES = {
    "NL": Country(
        code="NL",
        language="nl",
        currency="EUR",
        cities=("Utrecht", "Zwolle", "Breda", "Groningen", "Delft", "Arnhem"),
        trades=(
            "Bakkerij",
            "Bouwbedrijf",
            "Adviesbureau",
            "Garage",
            "Kwekerij",
            "Installatietechniek",
            "Drukkerij",
            "Holding",
        ),
        families=(
            "De Haan",
            "Van Dam",
            "Vermeulen",
            "Jansma",
            "Kuipers",
            "Ter Horst",
            "Van der Meer",
            "Brouwer",
            "Smit",
        ),
        form="B.V.",
        vat=lambda number: f"NL{int(_digits(number)):09d}B01",
        vat_codes=_vat_codes(("21", "9", "0"), ("Btw verkoop", "Btw inkoop")),
        invoice="Verkoopfactuur",
        bill="Inkoopfactuur",
        payment="Ontvangst",
        transfer="Memoriaal",
        days="dagen",
    ),
    "NO": Country(
        code="NO",
        language="no",
        currency="NOK",
        cities=("Oslo", "Bergen", "Trondheim", "Tromsø", "Stavanger", "Bodø"),
        trades=("Fjord", "Nordlys", "Bygg", "Rør", "Elektro", "Regnskap", "Laks", "Hytte"),
        families=("Solheim", "Nordvik", "Fossdal", "Vestnes", "Solberg", "Sandstrand", "Furuli"),
        form="AS",
        vat=lambda number: f"NO{_digits(number)}MVA",
        vat_codes=_vat_codes(("25", "15", "0"), ("Utgående mva", "Inngående mva")),
        invoice="Utgående faktura",
        bill="Inngående faktura",
        payment="Innbetaling",
        transfer="Bilag",
        days="dager",
    ),
    "SE": Country(
        code="SE",
        language="sv",
        currency="SEK",
        cities=("Stockholm", "Göteborg", "Malmö", "Växjö", "Umeå", "Örebro"),
        trades=("Snickeri", "Åkeri", "Konsult", "Måleri", "Trädgård", "Bilservice", "Redovisning"),
        families=("Lindqvist", "Åström", "Bergström", "Sjöberg", "Holmgren", "Ekdahl", "Nyström"),
        form="AB",
        vat=lambda number: f"SE{_digits(number)}01",
        vat_codes=_vat_codes(("25", "12", "6"), ("Utgående moms", "Ingående moms")),
        invoice="Kundfaktura",
        bill="Leverantörsfaktura",
        payment="Inbetalning",
        transfer="Verifikation",
        days="dagar",
    ),
    "DK": Country(
        code="DK",
        language="da",
        currency="DKK",
        cities=("København", "Aarhus", "Odense", "Aalborg", "Ærøskøbing"),
        trades=("Tømrer", "Vognmand", "Rådgivning", "Smede", "Gartneri", "Køleteknik"),
        families=("Nørgaard", "Østergaard", "Kjær", "Søndergaard", "Bøgh", "Lund"),
        form="ApS",
        vat=lambda number: f"DK{_digits(number)}",
        vat_codes=_vat_codes(("25", "0"), ("Salgsmoms", "Købsmoms")),
        invoice="Salgsfaktura",
        bill="Købsfaktura",
        payment="Indbetaling",
        transfer="Finansbilag",
        days="dage",
    ),
    "FI": Country(
        code="FI",
        language="fi",
        currency="EUR",
        cities=("Helsinki", "Jyväskylä", "Hämeenlinna", "Oulu", "Turku"),
        trades=("Rakennus", "Kuljetus", "Tilitoimisto", "Leipomo", "Metsäpalvelu"),
        families=("Mäkinen", "Hämäläinen", "Järvelä", "Koskela", "Virtanen"),
        form="Oy",
        vat=lambda number: f"FI{_digits(number)}",
        vat_codes=_vat_codes(("25.5", "14", "0"), ("Myynnin alv", "Oston alv")),
        invoice="Myyntilasku",
        bill="Ostolasku",
        payment="Maksu",
        transfer="Muistiotosite",
        days="päivää",
    ),
}

DEPARTMENTS = {"10": "Sales", "20": "Production", "30": "Administration", "40": "Warehouse"}

_L = ("nl", "no", "sv", "da", "fi")


def _by_language(*texts: str) -> dict[str, str]:
    return dict(zip(_L, texts, strict=True))


CHART: tuple[tuple[str, str, dict[str, str]], ...] = (
    (
        "1200",
        "asset",
        _by_language(
            "Machines en inventaris",
            "Maskiner og inventar",
            "Maskiner och inventarier",
            "Maskiner og inventar",
            "Koneet ja kalusto",
        ),
    ),
    (
        "1250",
        "asset",
        _by_language("Vervoermiddelen", "Transportmidler", "Transportmedel", "Transportmidler", "Ajoneuvot"),
    ),
    ("1400", "asset", _by_language("Voorraden", "Varelager", "Varulager", "Varelager", "Vaihto-omaisuus")),
    (
        "1500",
        "asset",
        _by_language("Debiteuren", "Kundefordringer", "Kundfordringar", "Debitorer", "Myyntisaamiset"),
    ),
    (
        "1700",
        "asset",
        _by_language(
            "Vooruitbetaalde kosten",
            "Forskuddsbetalte kostnader",
            "Förutbetalda kostnader",
            "Forudbetalte omkostninger",
            "Siirtosaamiset",
        ),
    ),
    ("1900", "asset", _by_language("Kas", "Kasse", "Kassa", "Kasse", "Kassa")),
    ("1920", "asset", _by_language("Bank", "Bankinnskudd", "Bank", "Bank", "Pankkitili")),
    (
        "2000",
        "liability",
        _by_language("Geplaatst kapitaal", "Aksjekapital", "Aktiekapital", "Anpartskapital", "Osakepääoma"),
    ),
    (
        "2050",
        "liability",
        _by_language(
            "Overige reserves",
            "Annen egenkapital",
            "Balanserat resultat",
            "Overført resultat",
            "Edellisten tilikausien voitto",
        ),
    ),
    (
        "2240",
        "liability",
        _by_language("Hypothecaire lening", "Pantelån", "Banklån", "Prioritetsgæld", "Pankkilaina"),
    ),
    (
        "2400",
        "liability",
        _by_language("Crediteuren", "Leverandørgjeld", "Leverantörsskulder", "Kreditorer", "Ostovelat"),
    ),
    (
        "2600",
        "liability",
        _by_language("Loonheffing", "Skattetrekk", "Personalskatt", "A-skat", "Ennakonpidätysvelka"),
    ),
    (
        "2700",
        "liability",
        _by_language(
            "Af te dragen btw", "Utgående merverdiavgift", "Utgående moms", "Salgsmoms", "Myynnin alv-velka"
        ),
    ),
    (
        "2710",
        "asset",
        _by_language(
            "Voorbelasting btw", "Inngående merverdiavgift", "Ingående moms", "Købsmoms", "Oston alv-saaminen"
        ),
    ),
    (
        "3000",
        "income",
        _by_language(
            "Omzet hoog tarief", "Salgsinntekt, avgiftspliktig", "Försäljning", "Salg af varer", "Myynti"
        ),
    ),
    (
        "3010",
        "income",
        _by_language(
            "Omzet diensten", "Salg av tjenester", "Försäljning tjänster", "Salg af ydelser", "Palvelumyynti"
        ),
    ),
    (
        "3100",
        "income",
        _by_language(
            "Omzet nultarief",
            "Salgsinntekt, avgiftsfri",
            "Försäljning export",
            "Momsfrit salg",
            "Veroton myynti",
        ),
    ),
    (
        "3600",
        "income",
        _by_language("Huuropbrengsten", "Leieinntekt", "Hyresintäkter", "Lejeindtægter", "Vuokratuotot"),
    ),
    (
        "4000",
        "expense",
        _by_language(
            "Inkoop grond- en hulpstoffen", "Innkjøp av råvarer", "Inköp av råvaror", "Råvareforbrug", "Ostot"
        ),
    ),
    (
        "5000",
        "expense",
        _by_language("Lonen en salarissen", "Lønn til ansatte", "Löner", "Lønninger", "Palkat"),
    ),
    (
        "6000",
        "expense",
        _by_language("Afschrijvingen", "Avskrivninger", "Avskrivningar", "Afskrivninger", "Poistot"),
    ),
    (
        "6300",
        "expense",
        _by_language("Huisvestingskosten", "Leie lokaler", "Lokalhyra", "Husleje", "Toimitilakulut"),
    ),
    (
        "6500",
        "expense",
        _by_language(
            "Klein gereedschap", "Verktøy", "Förbrukningsinventarier", "Småanskaffelser", "Työkalut"
        ),
    ),
    (
        "6800",
        "expense",
        _by_language(
            "Kantoorkosten", "Kontorrekvisita", "Kontorsmateriel", "Kontorartikler", "Toimistokulut"
        ),
    ),
    (
        "7000",
        "expense",
        _by_language("Autokosten", "Bilkostnader", "Bilkostnader", "Bilomkostninger", "Ajoneuvokulut"),
    ),
    ("7320", "expense", _by_language("Reclamekosten", "Reklame", "Reklam", "Reklame", "Markkinointi")),
    (
        "7700",
        "expense",
        _by_language(
            "Algemene kosten", "Andre kostnader", "Övriga kostnader", "Øvrige omkostninger", "Muut kulut"
        ),
    ),
    (
        "8150",
        "expense",
        _by_language("Rentelasten", "Rentekostnad", "Räntekostnader", "Renteudgifter", "Korkokulut"),
    ),
)
