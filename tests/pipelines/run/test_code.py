"""The files that a module reaches by its imports."""

import pytest

from pipelines.run.code import code_digests, reached_files


@pytest.fixture
def project(tmp_path):
    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_imports_are_followed_to_the_end_and_only_inside_the_project(project):
    root = project(
        {
            "start.py": "import os\nimport shop.near\nfrom shop.far import thing\n",
            "shop/near.py": "def later():\n    from shop.deep import floor\n",
            "shop/far.py": "from shop import near\n",
            "shop/deep/floor.py": "",
            "shop/unused.py": "import shop.near\n",
        }
    )
    assert reached_files("start.py", root) == {
        "start.py", "shop/near.py", "shop/far.py", "shop/deep/floor.py"
    }  # fmt: skip


def test_files_that_import_each_other_are_each_reached_once(project):
    root = project({"a.py": "import b\n", "b.py": "import a\n"})
    assert reached_files("a.py", root) == {"a.py", "b.py"}


def test_a_digest_follows_the_file(project):
    root = project({"a.py": "import b\n", "b.py": "x = 1\n"})
    before = code_digests("a.py", root)
    project({"b.py": "x = 2\n"})
    after = code_digests("a.py", root)
    assert before["a.py"] == after["a.py"]
    assert before["b.py"] != after["b.py"]


def test_a_start_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        reached_files("nowhere.py", tmp_path)
