"""Small ledger files in XML, written for tests."""

from collections.abc import Sequence

XAF_SPACE = "http://www.auditfiles.nl/XAF/3.2"
XAF_HEADER = (
    "<header><fiscalYear>2025</fiscalYear><startDate>2025-01-01</startDate><endDate>2025-12-31</endDate>"
    "<curCode>EUR</curCode><softwareDesc>Proef</softwareDesc></header>"
)
XAF_ACCOUNTS = (
    "<generalLedger>"
    "<ledgerAccount><accID>1000</accID><accDesc>Kas</accDesc><accTp>B</accTp></ledgerAccount>"
    "<ledgerAccount><accID>8000</accID><accDesc>Omzet</accDesc><accTp>P</accTp></ledgerAccount>"
    "</generalLedger>"
)
SAFT_SPACE = "urn:StandardAuditFile-Taxation-Financial:NO"
Lines = Sequence[tuple[str, str, str]]
"""Account, amount and side (D or C) of each line, as they are to stand in the file."""
BALANCED: Lines = (("1000", "12.50", "D"), ("8000", "12.50", "C"))


def xaf(
    *entries: Lines,
    space: str = XAF_SPACE,
    accounts: str = XAF_ACCOUNTS,
    opening: str = "",
    totals: str = "",
    declaration: str = '<?xml version="1.0" encoding="UTF-8"?>',
    company: str = "Proef B.V.",
    number: str = "",
) -> str:
    """An Auditfile 3.2 with one journal. Every entry has the number `number`, or its own."""
    written = "".join(
        f"<transaction>\n<nr>{number or position}</nr><periodNumber>1</periodNumber><trDt>2025-01-15</trDt>\n"
        + "".join(_xaf_line(position, line) for position, line in enumerate(lines, 1))
        + "</transaction>\n"
        for position, lines in enumerate(entries, 1)
    )
    return (
        f'{declaration}\n<auditfile xmlns="{space}">\n{XAF_HEADER}\n'
        f"<company><companyIdent>1</companyIdent><companyName>{company}</companyName>\n{accounts}\n{opening}\n"
        f"<transactions>{totals}<journal><jrnID>M</jrnID><desc>Memo</desc><jrnTp>M</jrnTp>\n{written}"
        "</journal></transactions></company></auditfile>\n"
    )


def _xaf_line(position: int, line: tuple[str, str, str]) -> str:
    account, amount, side = line
    return (
        f"<trLine><nr>{position}</nr><accID>{account}</accID><effDate>2025-01-15</effDate>"
        f"<amnt>{amount}</amnt><amntTp>{side}</amntTp></trLine>\n"
    )


def saft(*entries: Lines, accounts: str = "", header: str = "", version: str = "1.0") -> str:
    """A SAF-T file of Norway; accounts in the form of 1.10 unless given."""
    accounts = accounts or "".join(
        f"<Account><AccountID>{code}</AccountID><StandardAccountID>{code[:2]}</StandardAccountID></Account>"
        for code in ("1000", "8000")
    )
    written = "".join(
        f"<Transaction><TransactionID>{position}</TransactionID><Period>1</Period><PeriodYear>2025</PeriodYear>"
        "<TransactionDate>2025-01-15</TransactionDate>\n"
        + "".join(_saft_line(position, line) for position, line in enumerate(lines, 1))
        + "</Transaction>\n"
        for position, lines in enumerate(entries, 1)
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<AuditFile xmlns="{SAFT_SPACE}">\n'
        f"<Header><AuditFileVersion>{version}</AuditFileVersion><AuditFileCountry>NO</AuditFileCountry>"
        "<Company><RegistrationNumber>923609016</RegistrationNumber><Name>Prøve AS</Name></Company>"
        "<SelectionCriteria><PeriodStart>1</PeriodStart><PeriodStartYear>2025</PeriodStartYear>"
        f"<PeriodEnd>12</PeriodEnd><PeriodEndYear>2025</PeriodEndYear></SelectionCriteria>{header}</Header>\n"
        f"<MasterFiles><GeneralLedgerAccounts>{accounts}</GeneralLedgerAccounts></MasterFiles>\n"
        f"<GeneralLedgerEntries><Journal><JournalID>GL</JournalID>{written}</Journal></GeneralLedgerEntries>\n"
        "</AuditFile>\n"
    )


def _saft_line(position: int, line: tuple[str, str, str]) -> str:
    account, amount, side = line
    name = {"D": "DebitAmount", "C": "CreditAmount"}.get(side, "OtherAmount")
    return (
        f"<Line><RecordID>{position}</RecordID><AccountID>{account}</AccountID>"
        f"<{name}><Amount>{amount}</Amount></{name}></Line>\n"
    )


def sie5(*entries: Lines) -> str:
    """A SIE 5 file; a line on the side C has its amount as it stands, with a minus before it."""
    written = "".join(
        f'<JournalEntry id="{position}" journalDate="2025-01-15">'
        + "".join(
            f'<LedgerEntry accountId="{account}" amount="{"-" if side == "C" else ""}{amount}"/>\n'
            for account, amount, side in lines
        )
        + "</JournalEntry>\n"
        for position, lines in enumerate(entries, 1)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Sie xmlns="http://www.sie.se/sie5">\n'
        '<FileInfo><Company organizationId="556036-0793" name="Provbolaget AB"/>'
        '<FiscalYears><FiscalYear start="2025-01" end="2025-12" primary="true"/></FiscalYears></FileInfo>\n'
        '<Accounts><Account id="1000" name="Kassa" type="asset"/></Accounts>\n'
        f'<Journal id="A" name="Verifikationer">{written}</Journal>\n</Sie>\n'
    )
