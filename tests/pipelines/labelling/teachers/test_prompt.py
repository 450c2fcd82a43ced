import pytest

from pipelines.labelling.teachers.prompt import read_prompts
from pipelines.run.params import load_params
from tests.pipelines.labelling.teachers.openai_setup import TOP, teacher_maker


@pytest.fixture
def make(tmp_path, monkeypatch):
    return teacher_maker(tmp_path, monkeypatch)


def test_prompts_are_the_ones_in_the_repository(make):
    params = load_params(TOP / "params.yaml").teacher
    prompts = read_prompts(TOP / params.prompt, TOP / params.complaint)
    assert "{}{persona}" in prompts.ask("{}{persona}", 5)
    assert "from 1 to 5" in prompts.ask("", 5)
    assert "it {lacks} 2" in prompts.complain("it {lacks} 2", 3)
    assert len(set(prompts.digests.values())) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"{persona}", r"fields than \{count\} \{persona\}: got \{persona\}"),
        (b"no fields", "got none"),
        (b"{persona} {count} {name}", r"\{name\}"),
        (b"{persona.text} {count}", r"\{persona.text\}"),
        (b"{persona} {count} {}", r"\{\}"),
        (b"{persona!r} {count}", "with a format"),
        (b'{persona} {count} {"ranking": [1]}', r"write braces that are no field twice: \{\{ \}\}"),
        (b"{persona} {count} {", r"write braces"),
    ],
)
def test_a_prompt_that_cannot_be_filled_in_is_refused(make, tmp_path, text, words):
    path = tmp_path / "prompt.txt"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(SystemExit, match=words) as stop:
        make(around={"prompt": path})
    assert str(path) in str(stop.value)
