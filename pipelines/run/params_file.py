"""`params.yaml` as YAML, read so that no value means one thing here and another to DVC.

PyYAML follows YAML 1.1, where `yes` is true, `1_000` a thousand and `010` eight; DVC's reader
follows YAML 1.2, where the first two are text. What the two read differently is refused.
"""

import re
import reprlib
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

Place = tuple[str | int, ...]  # the keys that lead to a value

_INTEGER = re.compile(r"[-+]?(0|[1-9]\d*)")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LONGEST = 80  # characters of what was got


class ParamsFileError(ValueError):
    """The file is not YAML of one meaning; the message names the line."""


def read_params_file(text: str) -> tuple[Any, dict[Place, int]]:
    """What the file says, and the line of each key, from 1.

    Raises:
        ParamsFileError: It is no YAML, or a key stands twice, or a value reads in two ways.
    """
    loader = _loader()(text)
    try:
        node = loader.get_single_node()
        content = None if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        msg = f"it is not YAML: {error}"
        raise ParamsFileError(msg) from error
    finally:
        loader.dispose()
    return content, dict(_lines(node, ()))


def describe_faults(
    error: ValidationError, model: type[BaseModel], lines: dict[Place, int]
) -> list[str]:
    """A line for each fault: the key, what is wrong, what was got, and the line of the file."""
    return [_describe(fault, model, lines) for fault in error.errors()]


def _describe(fault: Any, model: type[BaseModel], lines: dict[Place, int]) -> str:
    place: Place = fault["loc"]
    words = fault["msg"]
    if fault["type"] == "extra_forbidden":
        words += _suggestion(place, model)
    at = next((lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in lines), 0)
    where = f", line {at}" if at else ""
    # The "input" is then the section around a missing key, or all that our own words are about.
    whole = fault["type"] == "missing" or (
        fault["type"] == "value_error" and isinstance(fault["input"], dict)
    )
    got = "" if whole else f" (got {_shortened(fault['input'])})"
    return f"{'.'.join(map(str, place)) or 'the file'}: {words}{got}{where}"


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _suggestion(place: Place, model: type[BaseModel]) -> str:
    """The nearest key of the same section, or the section that has a key of this name."""
    sections = dict(_sections(model, ()))
    *around, key = place
    near = get_close_matches(str(key), sections.get(tuple(around), ()), n=1)
    if near:
        return f"; did you mean {near[0]}?"
    homes = [".".join(map(str, home)) for home, names in sections.items() if home and key in names]
    return f"; {key} belongs to {' or '.join(homes)}" if homes else ""


def _sections(model: type[BaseModel], place: Place) -> Iterator[tuple[Place, list[str]]]:
    names = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    yield place, list(names)
    for name, annotation in names.items():
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _sections(annotation, (*place, name))


def _lines(node: yaml.Node | None, place: Place) -> Iterator[tuple[Place, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*place, key.value), key.start_mark.line + 1
            yield from _lines(value, (*place, key.value))


class _Loader(yaml.SafeLoader):
    """A SafeLoader that refuses what YAML 1.2 reads in another way."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """As in SafeLoader, each key once."""
        found: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.value in found:
                msg = f"the key {key.value} stands in lines {found[key.value]} and {line}; keep one"
                raise ParamsFileError(msg)
            found[key.value] = line
        return super().construct_mapping(node, deep=deep)

    def plain_bool(self, node: Any) -> bool:
        """`true` or `false`."""
        value: bool = self.construct_yaml_bool(node)
        if node.value.lower() not in ("true", "false"):
            self._refuse(node, value, str(value).lower())
        return value

    def plain_int(self, node: Any) -> int:
        """Decimal digits alone."""
        value: int = self.construct_yaml_int(node)
        if not _INTEGER.fullmatch(node.value):
            self._refuse(node, value, str(value))
        return value

    def plain_float(self, node: Any) -> float:
        """A decimal number, with an exponent or without."""
        value: float = self.construct_yaml_float(node)
        if not _NUMBER.fullmatch(node.value):
            self._refuse(node, value, repr(value))
        return value

    def _refuse(self, node: Any, value: object, plain: str) -> None:
        msg = (
            f"line {node.start_mark.line + 1}: got {reprlib.repr(node.value)[1:-1]}, which some"
            f" YAML readers take for {value!r} and others for text; write {plain}, or put it in"
            " quotes if it is text"
        )
        raise ParamsFileError(msg)


@cache
def _loader() -> type[_Loader]:
    """The loader, told which of its methods read what."""
    for kind in ("bool", "int", "float"):
        _Loader.add_constructor(f"tag:yaml.org,2002:{kind}", getattr(_Loader, f"plain_{kind}"))
    # YAML 1.1 wants a point and a sign in a float: `1e-3` would be text here and a number to DVC.
    _Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"),
        list("-+0123456789"),
    )
    return _Loader
