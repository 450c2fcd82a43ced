"""`kindred labels cost`: what asking the teachers has cost, from their journals."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from retrieval.storage.journal import TEACHERS, Record, read_journal
from services.commands.errors import CommandError, Exit
from services.commands.tables import as_text, table

_HEADER = (
    "stage", "cycle", "teacher", "calls", "no reply", "input tokens", "output tokens", "USD",
    "first (UTC)", "last (UTC)",
)  # fmt: skip


@dataclass
class Entry:
    """The calls of one stage and cycle to one teacher."""

    stage: str
    cycle: str
    teacher: str
    calls: int = 0
    faults: int = 0  # calls that brought no reply at all
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    first: str = ""
    last: str = ""

    def add(self, record: Record) -> None:
        """Count a call."""
        self.calls += 1
        self.faults += bool(record["fault"])
        self.input_tokens += record["input_tokens"]
        self.output_tokens += record["output_tokens"]
        self.cost_usd += record["cost_usd"]
        self.first = min(self.first or record["at"], record["at"])
        self.last = max(self.last, record["at"])


def read_cost(*, as_json: bool) -> str:
    """The ledger of this project, with its sum, as it is printed.

    Raises:
        CommandError: A record is none of a teacher's.
    """
    entries = read_ledger(TEACHERS)
    if as_json:
        return as_text({"entries": [asdict(entry) for entry in entries]})
    if not entries:
        return f"No teacher has been asked yet: {TEACHERS} is empty; run `dvc repro`."
    total = Entry("total", "", "")
    for entry in entries:
        total.calls += entry.calls
        total.faults += entry.faults
        total.input_tokens += entry.input_tokens
        total.output_tokens += entry.output_tokens
        total.cost_usd += entry.cost_usd
    return "\n".join(table([_HEADER, *map(_row, [*entries, total])]))


def read_ledger(folder: Path) -> list[Entry]:
    """One entry a stage, cycle and teacher, in the order of their first calls.

    Raises:
        CommandError: A record is none of a teacher's.
    """
    entries: dict[tuple[str, str, str], Entry] = {}
    for path, record in _records(folder):
        try:
            key = (record["stage"], record["cycle"], record["teacher"])
            entries.setdefault(key, Entry(*key)).add(record)
        except KeyError as error:
            msg = f"{path} holds a record without {error}: another release wrote it; move it away"
            raise CommandError(msg, Exit.REFUSED) from error
    return sorted(entries.values(), key=lambda entry: entry.first)


def _records(folder: Path) -> Iterator[tuple[Path, Record]]:
    for path in sorted(folder.glob("*.jsonl")):
        for record in read_journal(path):
            yield path, record


def _row(entry: Entry) -> tuple[str, ...]:
    return (
        entry.stage, entry.cycle, entry.teacher, f"{entry.calls:,}", f"{entry.faults:,}",
        f"{entry.input_tokens:,}", f"{entry.output_tokens:,}", f"{entry.cost_usd:,.4f}",
        entry.first.removesuffix("+00:00"), entry.last.removesuffix("+00:00"),
    )  # fmt: skip
