"""Which fields of the parameters no code reads, told by types instead of by names alone."""

import ast
from collections.abc import Iterator, Sequence

from pydantic import BaseModel

Known = dict[str, type[BaseModel]]  # an expression, as text -> the section that it holds


def unread_fields(top: type[BaseModel], sources: Sequence[str]) -> set[str]:
    """ "Section.field" of each field that no source reads from an expression of that section."""
    sections = {section.__name__: section for section in _sections(top)}
    read: set[tuple[str, str]] = set()
    for source in sources:
        tree = ast.parse(source)
        read |= set(_reads(tree, sections, _attributes(tree, sections)))
    return {
        f"{name}.{field}"
        for name, section in sections.items()
        for field in section.model_fields
        if (name, field) not in read
    }


def _sections(top: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield top
    for field in top.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _sections(field.annotation)


def _annotated(annotation: ast.expr | None, sections: dict, names: dict) -> type | None:
    text = ast.unparse(annotation).strip("'\"") if annotation else ""
    return sections.get(names.get(text, text))


def _imported_names(tree: ast.AST) -> dict[str, str]:
    """Local name -> the name that it was imported under: `Teacher as TeacherParams`."""
    return {
        alias.asname: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }


def _attributes(tree: ast.AST, sections: dict) -> Known:
    """What `self.x` holds in the classes of a file: of dataclass fields, and set in `__init__`."""
    names = _imported_names(tree)
    known = {
        f"self.{ast.unparse(statement.target)}": section
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for statement in node.body
        if isinstance(statement, ast.AnnAssign)
        and (section := _annotated(statement.annotation, sections, names))
    }
    for function in _functions(tree):
        local = _local(function, sections, names)
        for target, value in _assignments(function):
            section = _type_of(value, local, sections)
            if section and ast.unparse(target).startswith("self."):
                known[ast.unparse(target)] = section
    return known


def _functions(tree: ast.AST) -> list[ast.FunctionDef]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def _local(function: ast.FunctionDef, sections: dict, names: dict) -> Known:
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    known = {
        argument.arg: section
        for argument in arguments
        if (section := _annotated(argument.annotation, sections, names))
    }
    if "Params" in sections:
        known["load_params()"] = sections["Params"]
    return known


def _own(tree: ast.AST, function: ast.FunctionDef, sections: dict) -> Known:
    """`self`, in a method of a section."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and function in node.body and node.name in sections:
            return {"self": sections[node.name]}
    return {}


def _assignments(function: ast.FunctionDef) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Targets and values, those of `a, b = c, d` one by one."""
    for node in ast.walk(function):
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                yield from zip(target.elts, node.value.elts, strict=False)
            else:
                yield target, node.value


def _type_of(node: ast.expr, known: Known, sections: dict) -> type | None:
    text = ast.unparse(node)
    if text in known:
        return known[text]
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        if name.endswith(".model_copy"):
            return _type_of(node.func.value, known, sections)
    if isinstance(node, ast.Attribute):
        holder = _type_of(node.value, known, sections)
        field = holder.model_fields.get(node.attr) if holder else None
        annotation = field.annotation if field else None
        if isinstance(annotation, type) and annotation.__name__ in sections:
            return annotation
    return None


def _reads(tree: ast.AST, sections: dict, attributes: Known) -> Iterator[tuple[str, str]]:
    names = _imported_names(tree)
    for function in _functions(tree):
        known = attributes | _local(function, sections, names) | _own(tree, function, sections)
        for target, value in _assignments(function):
            if section := _type_of(value, known, sections):
                known[ast.unparse(target)] = section
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute):
                holder = _type_of(node.value, known, sections)
                if holder and node.attr in holder.model_fields:
                    yield holder.__name__, node.attr
