"""The teacher that the parameters name, with its journal and its budget."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pipelines.labelling.teachers.asking import Asker, Purpose
from pipelines.labelling.teachers.budget import make_budget
from pipelines.labelling.teachers.from_file import FileTeacher
from pipelines.labelling.teachers.local_vlm import LocalTeacher
from pipelines.labelling.teachers.protocol import Teacher, TeacherError
from pipelines.labelling.teachers.simulated import SimulatedTeacher
from pipelines.run.params import Params
from pipelines.run.paths import PERSONAS_FILE, PRODUCTS_FILE
from pipelines.run.stage import derive_seed, progress, say
from retrieval.storage.journal import TEACHERS, Journal
from retrieval.storage.schema import PERSONAS, PRODUCTS, PersonaRow, ProductRow, read_rows


def make_teacher(
    params: Params, personas: Sequence[PersonaRow], products: Sequence[ProductRow]
) -> Teacher:
    """A teacher for these personas and products.

    Raises:
        SystemExit: The teacher cannot rank for them, or not be made.
    """
    teacher, pictures = params.teacher, PRODUCTS_FILE.parent
    if teacher.kind == "openai":
        from pipelines.labelling.teachers.openai_chat import OpenAITeacher  # httpx takes 0.1 s

        return OpenAITeacher(teacher, personas, products, pictures)
    if teacher.kind == "transformers":
        return LocalTeacher(teacher, personas, products, pictures, params.compute.device)
    if teacher.kind == "file":  # may name whoever and whatever the catalogue has
        everybody, everything = (
            read_rows(PERSONAS_FILE, PERSONAS),
            read_rows(PRODUCTS_FILE, PRODUCTS),
        )
        return FileTeacher(teacher, everybody, everything)
    seed = derive_seed(params.seed, "teacher")
    return SimulatedTeacher(teacher.simulated, seed, personas, products)


@contextmanager
def open_asker(
    params: Params, teacher: Teacher, purpose: Purpose, total: int | None
) -> Iterator[Asker]:
    """The teacher with the journal of the stage, locked, and a progress bar.

    Args:
        params: For the budget.
        teacher: Who answers.
        purpose: Names the journal.
        total: How many requests there will be, for the bar; None if that is not known.

    Raises:
        SystemExit: Another process has the journal, or the teacher cannot be asked now; what it
            said so far is in the journal.
    """
    path = TEACHERS / f"{purpose.stage}.jsonl"
    label = f"{purpose.stage} {purpose.cycle}".rstrip()
    try:
        nothing: tuple[Any, ...] = ()
        with Journal(path) as journal, progress(nothing, label, total) as bar:
            if journal.damaged:
                say(f"{path}: {journal.damaged} damaged records do not count; asked again")
            asker = Asker(teacher, journal, purpose, make_budget(params.teacher), bar)
            try:
                yield asker
            except SystemExit:  # no winner at all, say: what went wrong tells why
                _say_troubles(label, asker)
                raise
            _say_troubles(label, asker)
    except (BlockingIOError, TeacherError) as error:
        raise SystemExit(str(error)) from error


def _say_troubles(label: str, asker: Asker) -> None:
    for words in asker.troubles():
        say(f"{label}: {words}")
