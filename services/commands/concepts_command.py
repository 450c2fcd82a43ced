"""`kindred concepts`: teach the service, look at what it was taught, forget."""

from collections.abc import Sequence

from services.commands.errors import CommandError, Exit
from services.commands.online import running_service
from services.commands.tables import as_text, table
from services.http.concept_messages import ConceptMessage


def add_concept(name: str, noun: str, photos: Sequence[str], *, as_json: bool) -> str:
    """Teach one, and what to print of it.

    Raises:
        CommandError: See `running_service`; or a file cannot be read (2).
    """
    try:
        with running_service() as client:
            learned = client.teach(name, noun, photos)
    except OSError as error:
        msg = f"got {error.filename}, which cannot be read ({error.strerror})"
        raise CommandError(msg, Exit.USAGE) from error
    if as_json:
        return as_text(learned.model_dump(mode="json"))
    lines = [f"{{{learned.name}}} can be used in searches (version {learned.model_version})"]
    return "\n".join([*lines, *(f"note: {warning}" for warning in learned.warnings)])


def list_concepts(*, as_json: bool) -> str:
    """What to print of all. Raises as `running_service`."""
    with running_service() as client:
        concepts = client.concepts()
    if as_json:
        return as_text({"concepts": [one.model_dump(mode="json") for one in concepts]})
    if not concepts:
        return "No concepts yet: `kindred concepts add NAME --noun NOUN PHOTO...` teaches one."
    rows = [_row(one) for one in concepts]
    return "\n".join(table([("name", "noun", "photos", "taught (UTC)", "problem"), *rows]))


def show_concept(name: str, *, as_json: bool) -> str:
    """What to print of one. Raises as `running_service`."""
    with running_service() as client:
        concept = client.concept(name)
    if as_json:
        return as_text(concept.model_dump(mode="json"))
    lines = [f"{{{concept.name}}}: {concept.noun}, taught {concept.created}", *concept.photos]
    return "\n".join(lines + ([f"problem: {concept.problem}"] if concept.problem else []))


def forget_concept(name: str) -> str:
    """Forget one, and what to print. Raises as `running_service`."""
    with running_service() as client:
        client.forget(name)
    return f"{{{name}}} is forgotten, with its photos"


def _row(concept: ConceptMessage) -> tuple[str, ...]:
    return (
        concept.name,
        concept.noun,
        str(len(concept.photos)),
        concept.created[:16].replace("T", " "),
        concept.problem or "-",
    )
