"""Static files named by a hash of their content, which browsers cache for good: after an upgrade a page uses
other names.

A file that was not collected, or has changed since, keeps its plain name and is cached briefly. So a tree
without collected files works too, and no page ever shows an old script.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.files.storage import Storage
from whitenoise.storage import CompressedManifestStaticFilesStorage

from koppel.web.build.built import COLLECTED, OWN_FILES, digests_by_group, group_of, recorded_digests


class HashedStaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """`outdated`: groups of files that keep their plain names."""

    patterns = (
        # Without the maps to sources that scripts of others name: they are not shipped.
        *(each for each in CompressedManifestStaticFilesStorage.patterns if each[0] != "*.js"),
        # Imports between our own scripts. In those of others, what
        # looks like one may be an example in a comment.
        (
            f"{OWN_FILES}/*.js",
            CompressedManifestStaticFilesStorage._js_module_import_aggregation_patterns[1],
        ),
    )
    keep_only_hashed_files = True

    def __init__(self, *args: Any, location: Path = COLLECTED, **options: Any) -> None:
        self.outdated: frozenset[str] = frozenset()
        super().__init__(*args, location=location, **options)

    def load_manifest(self) -> tuple[dict[str, str], str]:
        recorded = recorded_digests(Path(self.location))
        current = current_digests()
        self.outdated = frozenset(group for group, digest in current.items() if recorded.get(group) != digest)
        try:
            names, digest = super().load_manifest()
        except ValueError:
            names, digest = {}, ""
        if not names:
            self.outdated = frozenset(current)
        return {name: hashed for name, hashed in names.items() if group_of(name) not in self.outdated}, digest

    def stored_name(self, name: str) -> str:
        """Return the plain name of an uncollected file, so that a page never fails for it."""
        return str(self.hashed_files.get(self.hash_key(self.clean_name(name)), name))


def outdated_groups() -> frozenset[str]:
    """Return the groups with plain names in this process."""
    return getattr(staticfiles_storage, "outdated", frozenset())


def current_digests() -> dict[str, str]:
    """Return the digests of the sources, as `koppel.web.build.built.digests_by_group` describes."""
    return digests_by_group(
        (name, read_content(storage, path)) for name, storage, path in list_static_files()
    )


def read_content(storage: Storage, path: str) -> bytes:
    with storage.open(path) as file:
        return bytes(file.read())


def list_static_files() -> Iterator[tuple[str, Storage, str]]:
    """Yield (name, storage, path in it) of every static file of the installed packages. The first of a name
    wins.
    """
    names = set()
    for finder in finders.get_finders():
        for path, storage in finder.list([]):
            name = "/".join(part for part in (getattr(storage, "prefix", ""), path) if part).replace(
                "\\", "/"
            )
            if name not in names:
                names.add(name)
                yield name, storage, path
