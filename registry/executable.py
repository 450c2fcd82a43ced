"""Files that would run code when something opens them: pickles, and archives that hold them.

No file of a bundle is one: weights are safetensors, tables Parquet, the rest text.
"""

import pickletools
from pathlib import Path
from typing import BinaryIO

_SUFFIXES = frozenset(
    {".pickle", ".pkl", ".p", ".pt", ".pth", ".pt2", ".ckpt", ".bin", ".joblib", ".dill", ".npy",
     ".npz", ".h5", ".keras"}
)  # fmt: skip
_NUMPY = b"\x93NUMPY"  # an array of objects is a pickle
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # torch.save's and numpy's archives
# Opcodes that call something, and those that name what is called.
_CALLS = frozenset({"REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"})
_NAMES = frozenset({"GLOBAL", "STACK_GLOBAL", "INST"})


def why_executable(path: Path) -> str | None:
    """Why a file could run code, by its name or its content, in words; None for one that cannot."""
    if path.suffix.lower() in _SUFFIXES:
        return f"a file called *{path.suffix}"
    with path.open("rb") as file:
        start = file.read(8)
        if start.startswith(_NUMPY):
            return "an array of numpy's"
        if start.startswith(_ZIP):
            return "an archive"
        file.seek(0)
        return "a pickle" if _is_pickle(file, proto=_has_protocol(start)) else None


def _has_protocol(start: bytes) -> bool:
    return start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")


def _is_pickle(file: BinaryIO, *, proto: bool) -> bool:
    """Whether its opcodes name something and call it, or, after a protocol, come to an end.

    What comes after a call need not be a pickle: it has run by then.
    """
    named = False
    try:
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name in _NAMES and _is_name(argument):
                named = True
            if named and opcode.name in _CALLS:
                return True
    except Exception:  # noqa: BLE001 -- whatever it stumbles over, it is no opcode
        return False
    return named or proto


def _is_name(argument: object) -> bool:
    """Whether an opcode's argument can be a module and a name; those from the stack have none."""
    if argument is None:
        return True
    parts = str(argument).split(" ")
    words = [word for part in parts for word in part.split(".")]
    return len(parts) == 2 and all(word.isidentifier() for word in words)
