"""The verdict at the foot of the Data Docs' first page, in plain HTML.

Data Docs take their style and the list of their results from the network; this stands without.
"""

from html import escape
from pathlib import Path

from retrieval.storage.files import atomic_file
from validation.gate import Check, Verdict

_STYLE = "max-width: 1100px; margin: 0 auto; padding: 16px 16px 96px; font-family: sans-serif"
_CELL = "padding: 4px 12px 4px 0; border-bottom: 1px solid #d6d9dd; vertical-align: top"


def add_verdict(page: Path, verdict: Verdict, picture: str) -> None:
    """Put the checks, the notes and a picture of example groups before the end of a page.

    Args:
        page: An HTML file; changed in place.
        verdict: What to tell.
        picture: A file beside the page.
    """
    text = page.read_text(encoding="utf-8")
    head, end, tail = text.rpartition("</body>")
    with atomic_file(page) as temporary:
        parts = (head, _section(verdict, picture), end, tail)
        temporary.write_text("".join(parts), encoding="utf-8")


def _section(verdict: Verdict, picture: str) -> str:
    failed = sum(not check.passed for check in verdict.checks)
    state = "passed" if verdict.passed else f"failed {failed} of"
    rows = "".join(map(_row, sorted(verdict.checks, key=lambda check: check.passed)))
    notes = "".join(f"<li>{escape(note)}</li>" for note in verdict.notes)
    return (
        f'<div id="verdict" style="{_STYLE}">'
        f"<h3>Gate {escape(verdict.gate)}: {state} {len(verdict.checks)} checks</h3>"
        f"<ul>{notes}</ul><h4>Example groups</h4>"
        f'<img src="{escape(picture)}" alt="Pictures in the teacher\'s order" width="100%">'
        f'<h4>Checks</h4><table style="border-collapse: collapse">{rows}</table></div>\n'
    )


def _row(check: Check) -> str:
    mark = "passed" if check.passed else "<strong>FAILED</strong>"
    observed = f"{check.observed:.4g}" if isinstance(check.observed, float) else check.observed
    cells = [escape(check.name), mark, escape(str(observed)), escape(check.expected)]
    return "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells) + "</tr>"
