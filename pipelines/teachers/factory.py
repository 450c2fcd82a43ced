"""The teacher that the parameters name."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.params import Params
from pipelines.stage import derive_seed
from pipelines.teachers.protocol import Teacher
from pipelines.teachers.simulated import SimulatedTeacher


def make_teacher(
    params: Params, personas: Sequence[Mapping[str, Any]], products: Sequence[Mapping[str, Any]]
) -> Teacher:
    """A teacher for these personas and products; further kinds join here.

    Raises:
        SystemExit: The teacher cannot rank for them.
    """
    return SimulatedTeacher(params.teacher, derive_seed(params.seed, "teacher"), personas, products)
