"""Whose books: a company whose name and number both became another's is read only after a person has said that it is the same."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from django.db import connection as database
from django.test import Client
from typer.testing import CliRunner

from koppel.administrations.models import Administration
from koppel.audit.models import AuditEntry
from koppel.books.models import Entry
from koppel.cli.errors import Refusal
from koppel.connections.commands.connections import app as shell
from koppel.connections.consent import begin_consent, complete_consent, receive_answer
from koppel.connections.identity import note_described
from koppel.connections.listing import refresh_companies
from koppel.connections.models import ConsentPurpose, RemoteCompany
from koppel.connections.services import after_reconnect
from koppel.connector.contract import CompanyDescription
from koppel.issues.queries import open_issues
from koppel.kit.tenancy import organisation_scope
from koppel.organisations import tokens
from koppel.organisations.models import User
from koppel.sync.models import Run
from koppel.sync.services import request_due_runs, request_run
from koppel.sync.tasks import perform_run
from tests.connections.office import companies, imported, sign_in
from tests.fixtures.people import signed_in
from tests.fixtures.stack import Connected, MakeConnected, Sandbox, register_app, run_sandbox
from tests.sync.syncing import perform


def sync(made: Connected, one: Administration) -> str:
    """A run to its end, as a person asks for it and this process performs it. How it ended."""
    with organisation_scope(made.actor.organisation_id):
        request_run(made.actor, one.pk)
        run_id = Run.objects.filter(administration=one, state__in=["queued", "running"]).latest("pk").pk
        Run.objects.filter(pk=run_id).update(not_before=None)
    asyncio.run(perform(made.actor.organisation_id, run_id))
    with organisation_scope(made.actor.organisation_id):
        return str(Run.objects.get(pk=run_id).state)


def described(made: Connected) -> None:
    """What the worker does after a listing, done here."""
    for company in companies(made):
        refresh = RemoteCompany.objects.filter(pk=company.pk)
        with organisation_scope(made.actor.organisation_id):
            refresh.update(described_at=None)
    from koppel.connections.describing import describe_all
    from koppel.connections.runtime import run as vendor_call

    wanted = [(company.pk, "visma_net") for company in companies(made)]
    vendor_call(lambda runtime: describe_all(runtime, made.actor.organisation_id, wanted))
