"""`koppel audit`: verify the audit log of every organisation, and manage the key that signs it, for anyone
with the installation's shell.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from django.db import InternalError
from psycopg.errors import ReadOnlySqlTransaction

from koppel.audit.audit_actions import AuditLogAction
from koppel.audit.chain import link_pending
from koppel.audit.chain_reader import verify_chains
from koppel.audit.scheduled_verification import record_verification
from koppel.audit.services import add_audit_entry
from koppel.audit.signed_heads import all_signed_heads, sign_heads
from koppel.audit.signing_keys import PUBLIC_PREFIX, HeadDocument, SigningKeys, public_part, signing_keys
from koppel.audit.verification import ChainResult
from koppel.cli.commands.keys import replace_secrets
from koppel.cli.environment import AUDIT_KEYS, data_directory, new_signing_key
from koppel.kit.cli.errors import CheckFailed, CommandError
from koppel.kit.cli.output import AsJson, print_json, print_record, print_rows
from koppel.kit.models import Installation
from koppel.kit.tenancy import INSTALLATION, installation_scope
from koppel.organisations.commands.acting import current_shell_operator

app = typer.Typer(no_args_is_help=True)
CHAIN_COLUMNS = ("chain", "length", "entries", "expired", "erased", "pending", "signed", "findings")
FINDING_COLUMNS = ("chain", "code", "position", "entry", "detail")
NOT_IN_A_FILE = (
    "This installation's key comes from KOPPEL_AUDIT_KEYS, not from secrets.json: put the line that"
    " `koppel audit generate-key` prints before the keys that are there, separated by a comma."
)

HeadFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--heads", exists=True, dir_okay=False, help="Signed heads kept elsewhere: log lines or JSON."
    ),
]
PublicKeys = Annotated[
    Path | None,
    typer.Option(
        "--public-keys",
        exists=True,
        dir_okay=False,
        help="Trust only these keys, as `koppel audit keys` printed them.",
    ),
]


@app.command("verify")
def verify(
    heads: HeadFiles = None,
    public_keys: PublicKeys = None,
    chain: Annotated[
        int | None,
        typer.Option(help="Only the log of this organisation, by number; 0 is the installation's."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find entries that were changed, deleted, inserted or moved, and logs that were cut off or rewritten.

    The exit code is 1 when there are any. The result is recorded, and `koppel check` reports a failed one.
    """
    keys = _keys(public_keys)
    documents = [document for file in heads or () for document in _read_heads(file)]
    results = verify_chains(keys, documents, chain)
    findings = [asdict(finding) for result in results for finding in result.findings]
    _record_verification(chain, results)
    rows = [_summary(result) for result in results]
    if as_json:
        print_json({"verified": not findings, "chains": rows, "findings": findings})
    else:
        print_rows(rows, CHAIN_COLUMNS, as_json=False)
        if findings:
            print_rows(findings, FINDING_COLUMNS, as_json=False)
    if findings:
        raise CheckFailed(f"The audit log is not as it was written: {len(findings)} findings.")


@app.command("heads")
def heads() -> None:
    """Sign the heads of all logs now, and print every signed head as a line of JSON, to keep elsewhere."""
    keys = _keys(None)
    link_pending()
    if keys.current is not None:
        sign_heads(keys)
    for document in all_signed_heads():
        print_json(document.to_dict())


@app.command("keys")
def list_keys(as_json: AsJson = False) -> None:
    """List the public keys of signed heads. They are no secrets: keep them where the heads are kept."""
    keys = _keys(None)
    rows = [
        {"id": key, "signs": key == keys.current_id, "public_key": public_part(public)}
        for key, public in keys.public.items()
    ]
    print_rows(rows, ("id", "signs", "public_key"), as_json=as_json)


@app.command("generate-key")
def generate_key() -> None:
    """Print a new key for KOPPEL_AUDIT_KEYS. It is shown once and not stored."""
    typer.echo(new_signing_key())


@app.command("rotate-key")
def rotate_key(as_json: AsJson = False) -> None:
    """Sign with a new key from now on. The old one signs a last time, over the entry that names the new one,
    and keeps its public part.
    """
    file = data_directory(None) / "secrets.json"
    keys, stored_secrets = _keys(None), _load_stored_secrets(file)
    new_text = new_signing_key()
    new = SigningKeys.parse(new_text)
    details = {"former": keys.current_id, "key": new.current_id, "public_key": _public_keys(new)}
    with installation_scope("audit key changed"):
        add_audit_entry(
            INSTALLATION, current_shell_operator().audit, AuditLogAction.KEY_ROTATED, details=details
        )
    link_pending()
    if keys.current is not None:
        sign_heads(keys)
    former = [public_part(public) for public in keys.public.values()]
    replace_secrets(file, {**stored_secrets, AUDIT_KEYS: ",".join([new_text, *former])})
    print_record({"key": new.current_id, "former": keys.current_id}, as_json=as_json)


def _record_verification(chain: int | None, results: list[ChainResult]) -> None:
    try:
        record_verification(chain, results, current_shell_operator().audit)
    except InternalError as error:
        if not isinstance(error.__cause__, ReadOnlySqlTransaction):  # A replica can be verified as well.
            raise


def _public_keys(keys: SigningKeys) -> str:
    return public_part(keys.public[keys.current_id])


def _load_stored_secrets(file: Path) -> dict[str, str]:
    """Return the stored secrets. Raises `CommandError` when the key is not one of them."""
    try:
        stored_secrets: dict[str, str] = json.loads(file.read_text())
        is_ours = (
            SigningKeys.parse(stored_secrets.get(AUDIT_KEYS, "")).current_id == signing_keys().current_id
        )
    except (OSError, ValueError, AttributeError):
        is_ours = False
    if not is_ours:
        raise CommandError(NOT_IN_A_FILE)
    return stored_secrets


def _keys(file: Path | None) -> SigningKeys:
    try:
        if file is None:
            return signing_keys()
        words = file.read_text().replace(",", " ").split()
        return SigningKeys.parse(",".join(word for word in words if word.startswith(PUBLIC_PREFIX)))
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from None


def _read_heads(file: Path) -> Iterator[HeadDocument]:
    """Read signed heads from lines of a log, of syslog or of `koppel audit heads`; other lines are left out.
    Raises `CommandError` for one that cannot be read.
    """
    number = Installation.objects.get().number
    for line_number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
        if '"audit_head"' not in line:
            continue
        try:
            document = HeadDocument.from_dict(json.loads(line[line.index("{") :]))
        except ValueError as error:
            raise CommandError(f"{file}, line {line_number}: {error}") from None
        if document.head.installation != number:
            raise CommandError(
                f"{file}, line {line_number}: this head is of installation {document.head.installation},"
                f" and this is installation {number}."
            )
        yield document


def _summary(result: ChainResult) -> dict[str, int | None]:
    return {
        "chain": result.chain,
        "length": result.length,
        "entries": result.entries,
        "expired": result.expired,
        "erased": result.erased,
        "pending": result.pending,
        "signed": max(result.signed_lengths, default=None),
        "findings": len(result.findings),
    }
