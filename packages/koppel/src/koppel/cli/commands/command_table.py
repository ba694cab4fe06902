"""The table of all commands: the name and the line of help of each, and the module that is imported when it
is called. It imports nothing itself, so that help and every command start without what the others need.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TopLevelCommand:
    """A command at the top: the function `attribute` of `module`."""

    name: str
    module: str
    attribute: str
    help: str = ""
    """The function's docstring, for the list of commands; '' for a hidden one."""
    hidden: bool = False
    passes_on: bool = False
    """Whether its arguments and options, --help included, belong to another program."""


@dataclass(frozen=True)
class CommandGroup:
    """Commands of an app: `attribute` of `module` is a `typer.Typer`."""

    name: str
    module: str
    attribute: str
    help: str


COMMANDS = (
    TopLevelCommand(
        name="up",
        module="koppel.cli.servers",
        attribute="up",
        help="Run everything: the embedded PostgreSQL (unless DATABASE_URL is set), migrations, web and"
        " workers.",
    ),
    TopLevelCommand(
        name="web",
        module="koppel.cli.servers",
        attribute="web",
        help="Serve the web pages and the REST API.",
    ),
    TopLevelCommand(
        name="worker",
        module="koppel.cli.servers",
        attribute="worker",
        help="Process the queue: syncs, notifications, the schedule. Run any number, on any machine.",
    ),
    TopLevelCommand(
        name="migrate",
        module="koppel.cli.commands.migrate",
        attribute="migrate",
        help="Create or upgrade the tables, as the role that owns them (KOPPEL_OWNER_DATABASE_URL).",
    ),
    TopLevelCommand(
        name="check",
        module="koppel.cli.checks.command",
        attribute="check",
        help="Report configuration errors. The exit code is 1 when there are any.",
    ),
    TopLevelCommand(
        name="backup",
        module="koppel.cli.backup.commands",
        attribute="backup",
        help="Write a backup while Koppel runs, verify it, and delete older ones.",
    ),
    TopLevelCommand(
        name="restore",
        module="koppel.cli.backup.commands",
        attribute="restore",
        help="Restore a backup into a data directory without a database, or the empty database of"
        " DATABASE_URL.",
    ),
    TopLevelCommand(
        name="adopt",
        module="koppel.cli.commands.adopt",
        attribute="adopt",
        help="Let this copy take the place of the original: stop that one, fetch its tokens, end the"
        " quarantine.",
    ),
    TopLevelCommand(name="prepare", module="koppel.cli.commands.migrate", attribute="prepare", hidden=True),
    TopLevelCommand(name="execute-run", module="koppel.cli.servers", attribute="execute_run", hidden=True),
    TopLevelCommand(
        name="sandbox",
        module="koppel.cli.servers",
        attribute="sandbox",
        help="Run the sandbox, which plays the vendor. Arguments go to `python -m koppel_sandbox`; see its"
        " --help.",
        passes_on=True,
    ),
    TopLevelCommand(
        name="psql",
        module="koppel.cli.commands.psql",
        attribute="psql",
        help="Open psql on the embedded database as its superuser; arguments are psql's own, such as -c.",
        passes_on=True,
    ),
    TopLevelCommand(
        name="demo",
        module="koppel.cli.demo.commands",
        attribute="demo",
        help="Start everything with a demo firm and a sandbox; print address and sign-ins; Ctrl-C stops it,"
        " the data stays.",
    ),
    TopLevelCommand(
        name="demo-once",
        module="koppel.cli.demo.commands",
        attribute="demo_once",
        help="Do the whole main job without a person, beside other instances. Exit code 0 when every"
        " administration is active.",
    ),
)
COMMAND_GROUPS = (
    CommandGroup(
        "connections",
        "koppel.connections.commands.connections",
        "app",
        "List, pause, reconnect and delete connections.",
    ),
    CommandGroup(
        "app-registrations",
        "koppel.connections.commands.app_registrations",
        "app",
        "Manage app registrations that serve all organisations.",
    ),
    CommandGroup(
        "administrations", "koppel.administrations.commands", "app", "List and change administrations."
    ),
    CommandGroup(
        "issues", "koppel.administrations.issues.commands", "app", "List, assign, snooze and dismiss issues."
    ),
    CommandGroup("sync", "koppel.sync.commands", "app", "Start, watch and retry runs."),
    CommandGroup("books", "koppel.sync.commands", "books", "Normalise stored books again."),
    CommandGroup("export", "koppel.books.commands", "app", "Write books to files."),
    CommandGroup("sql-readers", "koppel.books.commands", "readers", "Manage roles that read books by SQL."),
    CommandGroup(
        "organisations",
        "koppel.organisations.commands.organisations",
        "app",
        "Create organisations and their Administrators; confirm domains.",
    ),
    CommandGroup(
        "people",
        "koppel.organisations.commands.people",
        "app",
        "Invite people, change their access, hand over.",
    ),
    CommandGroup(
        "email-domains",
        "koppel.organisations.commands.email_domains",
        "app",
        "Verify the e-mail domains that lead to the identity provider.",
    ),
    CommandGroup(
        "divisions",
        "koppel.organisations.commands.divisions",
        "app",
        "Manage groups of people and administrations.",
    ),
    CommandGroup(
        "templates", "koppel.organisations.commands.templates", "app", "Manage named sets of settings."
    ),
    CommandGroup(
        "activity", "koppel.administrations.audit_log.commands", "app", "Show who did what, and when."
    ),
    CommandGroup("audit", "koppel.cli.commands.audit", "app", "Verify the audit log, and manage its key."),
    CommandGroup(
        "operators",
        "koppel.organisations.commands.operators",
        "app",
        "Manage operators, who may read an organisation's data while it consents.",
    ),
    CommandGroup(
        "webhooks",
        "koppel.notifications.commands",
        "app",
        "Manage webhooks, which inform programs about events.",
    ),
    CommandGroup(
        "quarantine",
        "koppel.cli.commands.quarantine",
        "app",
        "Stop everything that leaves the installation, for a restored copy.",
    ),
    CommandGroup(
        "keys", "koppel.cli.commands.keys", "app", "Rotate the keys that encrypt tokens and client secrets."
    ),
)
