"""Changes values in the text of params.yaml; comments, order and all else stay as they are."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from pipelines.run.params_file import ParamsFileError, read_params_file
from pipelines.setup.plan import Line


class _Edit(NamedTuple):
    start: int  # in characters
    end: int
    text: str


def change_values(text: str, lines: Sequence[Line]) -> str:
    """The text with other values; `cycles` may lose its last entries.

    Args:
        text: Of params.yaml.
        lines: Keys that it has, with the values that they get.

    Raises:
        SystemExit: The file is laid out so that a value cannot be changed in its place.
    """
    try:
        changed = _edited(text, lines)
        right = read_params_file(changed)[0] == _expected(text, lines)
    except (KeyError, yaml.YAMLError, ParamsFileError):
        right = False
    if not right:
        keys = ", ".join(line.key for line in lines)
        msg = (
            "params.yaml is laid out so that its values cannot be changed in their places; put"
            f" these in by hand: {keys}"
        )
        raise SystemExit(msg)
    return changed


def _edited(text: str, lines: Sequence[Line]) -> str:
    top = yaml.compose(text)
    assert top
    edits = [edit for line in lines for edit in _edits(text, top, line)]
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _expected(text: str, lines: Sequence[Line]) -> Any:
    content, _ = read_params_file(text)
    for line in lines:
        *sections, key = line.key.split(".")
        place = content
        for section in sections:
            place = place[section]
        place[key] = line.value
    return content


def _edits(text: str, top: yaml.Node, line: Line) -> list[_Edit]:
    node = top
    for key in line.key.split("."):
        node = _entries(node)[key][1]
    if line.key == "cycles":
        dropped = [entry for key, entry in _entries(node).items() if key not in line.value]
        return [_whole_lines(text, *entry) for entry in dropped]
    indent = "  " if _is_block(node) else ""  # a block list may stand right below its key
    return [_Edit(node.start_mark.index, _end(node), indent + flow(line.value))]


def _is_block(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and not node.flow_style and bool(node.value)


def _end(node: yaml.Node) -> int:
    """Where the value ends; a block's own mark lies behind the comments that follow it."""
    if _is_block(node):
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _entries(node: yaml.Node) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    return {key.value: (key, value) for key, value in node.value}


def _whole_lines(text: str, key: yaml.Node, value: yaml.Node) -> _Edit:
    start = text.rfind("\n", 0, key.start_mark.index) + 1
    end = text.find("\n", value.end_mark.index) + 1
    return _Edit(start, end or len(text), "")


def flow(value: Any) -> str:
    """A value as YAML on one line: `{train: 0.7, val: 0.1}`, `[4, 4]`, `null`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(each)}" for key, each in value.items()) + "}"
    dumped = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=True)
    return dumped.removesuffix("...\n").strip()
