"""Where the version that serves comes from: a registry that is followed, or one package."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from registry.bundle import Bundle
from registry.versions import Version

NOTHING = "nothing"


class Source(Protocol):
    """Says what is to serve, and has its files."""

    @property
    def follows(self) -> str:
        """An alias or a number; `NOTHING` where it can never become another version."""

    def find(self) -> Version:
        """The version that is to serve now; asked again and again.

        Raises:
            RegistryError: There is no such version, or the registry does not answer.
        """

    def fetch(self, version: Version) -> Bundle:
        """A version's bundle, checked.

        Raises:
            RegistryError: It cannot be had.
            ValueError: It is damaged.
        """


@dataclass(frozen=True)
class Registered:
    """Versions of a registered model; MLflow is asked."""

    name: str
    follows: str

    def find(self) -> Version:
        """As `Source`."""
        from registry.versions import find_version

        return find_version(self.name, self.follows)

    def fetch(self, version: Version) -> Bundle:
        """As `Source`."""
        from registry.store import fetch_bundle

        return fetch_bundle(version)


class Packaged:
    """The one version of a package: nothing is asked, and nothing followed."""

    follows = NOTHING

    def __init__(self, folder: Callable[[], Path]) -> None:
        """Remember where to look.

        Args:
            folder: Finds the folder that `registry.packaged_model` describes, when it is needed.
        """
        self._folder = folder

    @cached_property
    def _opened(self) -> tuple[Version, Bundle]:
        from registry.packaged_model import read_packaged

        return read_packaged(self._folder())

    def find(self) -> Version:
        """As `Source`; raises ValueError where the package is damaged."""
        return self._opened[0]

    def fetch(self, version: Version) -> Bundle:  # noqa: ARG002 -- there is one only
        """As `Source`."""
        return self._opened[1]
