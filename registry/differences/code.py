"""How the code and the data of two versions differ: commits between, and DVC's digests by path."""

from dataclasses import dataclass
from pathlib import Path

from registry.differences.records import Pairs, compare_values
from registry.git_log import CommitsBetween, commits_between
from registry.lineage import Lineage

_PACKAGES = ("pipelines", "registry", "retrieval", "validation")


@dataclass(frozen=True)
class CodeDifference:
    """What of the code differs."""

    commits: CommitsBetween
    clean: tuple[bool | None, bool | None]  # whether the commits say it all
    paths: Pairs  # folder or file of the project -> digests


def compare_code(before: Lineage, after: Lineage, project: Path) -> CodeDifference:
    """Commits, and what the stages depended on.

    Args:
        before: Of the first version.
        after: Of the second one.
        project: A folder in the repository that may know the commits.
    """
    return CodeDifference(
        commits=commits_between(project, before.git.commit, after.git.commit),
        clean=(before.git.clean, after.git.clean),
        paths=_select(before, after, code=True),
    )


def compare_data(before: Lineage, after: Lineage) -> Pairs:
    """Digests of what stages read from outside and of what they made; {} where one has none."""
    return _select(before, after, code=False)


def _select(before: Lineage, after: Lineage, *, code: bool) -> Pairs:
    """Of code, or of everything else."""
    if not before.stages or not after.stages:
        return {}
    found = compare_values(_stage_digests(before), _stage_digests(after))
    if before.account is not None and after.account is not None:
        found |= compare_values(before.account.registered_by, after.account.registered_by)
    return {path: pair for path, pair in found.items() if _is_code(path) is code}


def _stage_digests(lineage: Lineage) -> dict[str, str]:
    found: dict[str, str] = {}
    for stage in lineage.stages.values():
        found |= stage.deps | stage.outs
    return found


def _is_code(path: str) -> bool:
    return path.split("/")[0] in _PACKAGES
