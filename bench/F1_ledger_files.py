"""A 200 MB XML Auditfile read and checked: time, memory, and beside a plain `iterparse` of lxml.

Both take turns in processes of their own. Times are of the processor, which other programs on the machine
change little; reading uses one core.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, TextIO

MEGABYTES, TURNS = 200, 3
SECONDS_MAX, MEGABYTES_MAX, RATIO_MAX = 60, 200, 2.0
ACCOUNTS, PARTIES, LINES_OF_ENTRY = 500, 200, 4
HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<auditfile xmlns="http://www.auditfiles.nl/XAF/3.2">
<header><fiscalYear>2025</fiscalYear><startDate>2025-01-01</startDate><endDate>2025-12-31</endDate>
<curCode>EUR</curCode><dateCreated>2026-01-01</dateCreated><softwareDesc>Generator</softwareDesc></header>
<company><companyIdent>1</companyIdent><companyName>Groot B.V.</companyName>
"""
PLAIN = """
from lxml import etree
for _event, element in etree.iterparse({path!r}):
    element.clear()
figures = {{}}
"""
READ = """
import ledger_formats
with ledger_formats.open_ledger({path!r}) as ledger:
    report = ledger.check()
figures = {{"lines": report.counts["Line"], "right": report.is_balanced and report.is_complete}}
"""
MEASURED = """
import json, resource, time
processor = time.process_time()
{code}
figures["processor"] = time.process_time() - processor
figures["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(figures))
"""


def run() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.xaf"
        with path.open("w", encoding="utf-8") as file:
            lines = write_auditfile(file, MEGABYTES * 1024 * 1024)
        turns = [(_measured(PLAIN, path), _measured(READ, path)) for _turn in range(TURNS)]
    reads = [read for _plain, read in turns]
    if any((read["lines"], read["right"]) != (lines, True) for read in reads):
        raise RuntimeError(f"The file has {lines} lines; these were read: {reads}")
    seconds = statistics.median(read["processor"] for read in reads)
    memory = max(read["megabytes"] for read in reads)
    ratio = statistics.median(read["processor"] / plain["processor"] for plain, read in turns)
    return [
        _figure("200 MB XAF read and checked, processor time", round(seconds, 1), "s", SECONDS_MAX),
        _figure("peak memory", round(memory), "MB", MEGABYTES_MAX),
        _figure("processor time beside a plain iterparse", round(ratio, 2), "times", RATIO_MAX),
    ]


def _figure(name: str, amount: float, unit: str, most: float) -> dict[str, Any]:
    return {"name": name, "value": amount, "unit": unit, "to_reach": most, "holds": amount <= most}


def _measured(code: str, path: Path) -> dict[str, Any]:
    program = MEASURED.format(code=code.format(path=str(path)))
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def write_auditfile(file: TextIO, size: int) -> int:
    """Write an Auditfile of about `size` characters whose entries balance. Returns the count of its lines."""
    file.write(HEAD + "<customersSuppliers>\n")
    for party in range(PARTIES):
        file.write(
            f"<customerSupplier><custSupID>C{party}</custSupID><custSupName>Klant {party}</custSupName>"
            "<custSupTp>C</custSupTp></customerSupplier>\n"
        )
    file.write("</customersSuppliers><generalLedger>\n")
    for account in range(ACCOUNTS):
        file.write(
            f"<ledgerAccount><accID>{1000 + account}</accID><accDesc>Rekening {account}</accDesc>"
            "<accTp>B</accTp></ledgerAccount>\n"
        )
    file.write(
        "</generalLedger><vatCodes><vatCode><vatID>1</vatID><vatDesc>Hoog</vatDesc></vatCode></vatCodes>\n"
        "<transactions><journal><jrnID>M</jrnID><desc>Memoriaal</desc><jrnTp>M</jrnTp>\n"
    )
    number = 0
    while file.tell() < size:
        number += 1
        file.write(_entry(number))
    file.write("</journal></transactions></company></auditfile>\n")
    return number * LINES_OF_ENTRY


def _entry(number: int) -> str:
    day = f"2025-{number % 12 + 1:02}-{number % 28 + 1:02}"
    lines = "".join(_line(number, line, day) for line in range(LINES_OF_ENTRY))
    return (
        f"<transaction>\n<nr>{number}</nr>\n<desc>Boeking {number}</desc>\n"
        f"<periodNumber>{number % 12 + 1}</periodNumber>\n<trDt>{day}</trDt>\n{lines}</transaction>\n"
    )


def _line(number: int, line: int, day: str) -> str:
    """One line; two and two balance."""
    vat = ""
    if line == 0:
        vat = (
            "<vat><vatID>1</vatID><vatPerc>21.000</vatPerc><vatAmnt>1.00</vatAmnt>"
            "<vatAmntTp>D</vatAmntTp></vat>\n"
        )
    return (
        f"<trLine>\n<nr>{line + 1}</nr>\n<accID>{1000 + (number + line) % ACCOUNTS}</accID>\n"
        f"<docRef>D{number}</docRef>\n<effDate>{day}</effDate>\n<desc>Factuur {number} van de klant</desc>\n"
        f"<amnt>{number % 1000 + line // 2}.25</amnt>\n<amntTp>{'DC'[line % 2]}</amntTp>\n"
        f"<custSupID>C{number % PARTIES}</custSupID>\n<invRef>{number}</invRef>\n{vat}</trLine>\n"
    )
