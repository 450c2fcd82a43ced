"""`kindred package`: a version as a Bento, and what to do with it."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from services.commands.registry_access import registry_access
from services.commands.tables import print_step

_PATIENCE = 5.0  # seconds that Docker has to answer


def run_package(name: str, wanted: str | None) -> str:
    """What to print at the end; steps go to standard error as they pass.

    Raises:
        CommandError: Nothing is registered, the version is damaged, or BentoML's store cannot be
            written (1), no such version (2), or the registry does not answer (4).
    """
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    with registry_access():
        from registry.packaging import package

        done = package(name, wanted, print_step)
    label = done.version.label
    if done.created:
        first = f"version {label} of {name} is {done.tag} in BentoML's store {done.store}"
    else:
        first = (
            f"version {label} of {name} is {done.tag} in BentoML's store {done.store} already;"
            f" to build it again, with today's code: `bentoml delete {done.tag}` first"
        )
    return "\n".join([first, *_next(done.tag)])


def _next(tag: str) -> list[str]:
    file = Path("kindred.tar").absolute()  # BentoML takes what is relative from the root
    lines = [
        f"  bentoml serve {tag}",
        f"  bentoml export {tag} {shlex.quote(str(file))}",
        f"  bentoml containerize {tag}",
    ]
    if not _docker_answers():
        lines[-1] = (
            "no Docker answers here; where one does: `bentoml import /path/to/kindred.tar`, then"
            f" `bentoml containerize {tag}`"
        )
    return lines


def _docker_answers() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            [docker, "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
