from pathlib import Path

from validation.gate import Check, Verdict
from validation.report_page import add_verdict

GOOD = Check("a.good", True, 0.123456, "at most 0.2", "")
BAD = Check("a.bad", False, None, "fewer < more & 'others'", "a.bad: got nothing")


def page_with(tmp_path: Path, verdict: Verdict, before: str) -> str:
    page = tmp_path / "index.html"
    page.write_text(before, encoding="utf-8")
    add_verdict(page, verdict, "examples.png")
    return page.read_text(encoding="utf-8")


def test_the_verdict_stands_at_the_foot_failures_first(tmp_path: Path) -> None:
    verdict = Verdict("labels", False, ["a.bad: got nothing"], [GOOD, BAD], {}, notes=["no <b>"])
    text = page_with(tmp_path, verdict, "<html><body><p>Docs</p></body></html>")
    assert text.startswith("<html><body><p>Docs</p>")
    assert text.endswith("</div>\n</body></html>")
    assert "Gate labels: failed 1 of 2 checks" in text
    assert text.index("a.bad") < text.index("a.good")
    assert "fewer &lt; more &amp;" in text
    assert "<li>no &lt;b&gt;</li>" in text
    assert ">0.1235<" in text
    assert 'src="examples.png"' in text


def test_a_page_without_a_body_still_gets_it(tmp_path: Path) -> None:
    assert "passed 1 checks" in page_with(tmp_path, Verdict("g", True, [], [GOOD], {}), "")
