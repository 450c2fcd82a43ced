"""A source of versions that is told what it has."""

from registry.bundle import Bundle
from registry.versions import Version


class FakeSource:
    """Has one version, until it is told of another."""

    follows = "champion"

    def __init__(self, version: Version | None = None) -> None:
        self.version = version

    def find(self) -> Version:
        assert self.version is not None, "nobody said what is to serve"
        return self.version

    def fetch(self, version: Version) -> Bundle:
        raise NotImplementedError
