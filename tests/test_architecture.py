"""Imports of the package run downwards only: no upward import, no circle, none hidden in a function."""

import ast
import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from .helpers import REPO

FLOORS = (
    {'__main__'},
    {'apis'},
    {'recipes', 'engine'},
    {'pseudo_labels'},
    {'analysis', 'evaluation'},
    {'models'},
    {'datasets', 'sample_set'},
    {'checkpoints'},
    {'utils'},
    {'registry', 'compat', 'version'},
)
"""tuple[set, ...]: The rooms of the package from top to bottom. A room imports itself, its floor and lower floors."""

RANK = {room: rank for rank, rooms in enumerate(FLOORS) for room in rooms}


class Import(NamedTuple):
    """One import of a module of the package."""

    path: str
    line: int
    target: str
    hidden: bool

    def __str__(self) -> str:
        return f'{self.path}:{self.line}: imports {self.target}'


def module_of(path) -> str:
    parts = path.relative_to(REPO).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


MODULES = {module_of(path): path for path in sorted((REPO / 'mmwsss').rglob('*.py')) if '.mim' not in path.parts}


def targets_of(node: ast.AST, module: str) -> Iterator[str]:
    """Yield the modules of the package that an import statement names."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        package = module if MODULES[module].name == '__init__.py' else module.rpartition('.')[0]
        base = package.rsplit('.', node.level - 1)[0] if node.level > 1 else package
        source = '.'.join(filter(None, [base if node.level else '', node.module]))
        names = [f'{source}.{alias.name}' if f'{source}.{alias.name}' in MODULES else source for alias in node.names]
    yield from (name for name in dict.fromkeys(names) if name.split('.')[0] == 'mmwsss')


def imports_of(module: str) -> Iterator[Import]:
    """Yield all imports of the package in one of its modules."""
    path = MODULES[module]
    tree = ast.parse(path.read_text(encoding='utf-8'))
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for target in targets_of(node, module):
                yield Import(str(path.relative_to(REPO)), node.lineno, target, id(node) in inside)


@functools.cache
def all_imports() -> dict[str, list[Import]]:
    return {module: list(imports_of(module)) for module in MODULES}


def room_of(module: str) -> str:
    return (module.split('.') + [''])[1]


def report(entries) -> str:
    return '\n'.join(map(str, entries))


def test_every_room_has_a_floor():
    rooms = {room_of(module) for module in MODULES} - {''}
    assert rooms <= set(RANK), f'add these rooms to FLOORS: {sorted(rooms - set(RANK))}'


def test_imports_run_downwards():
    upward = [entry for module, entries in all_imports().items() if room_of(module) for entry in entries
              if room_of(entry.target) and RANK[room_of(entry.target)] < RANK[room_of(module)]]
    assert not upward, f'imports of a higher floor:\n{report(upward)}'


def test_no_import_is_hidden_in_a_function():
    hidden = [entry for entries in all_imports().values() for entry in entries if entry.hidden]
    assert not hidden, f'imports inside a function:\n{report(hidden)}'


def test_only_its_user_imports_scikit_learn():
    """It takes a second, which every run of a tool would pay; ``mmwsss.analysis.tag_check`` is imported by name."""
    importers = {module for module, path in MODULES.items()
                 if re.search(r'^(import|from) sklearn', path.read_text(encoding='utf-8'), re.MULTILINE)}
    assert importers == {'mmwsss.analysis.tag_check'}
    assert not [entry for entries in all_imports().values() for entry in entries if entry.target in importers]


@pytest.mark.parametrize('level', ['rooms', 'modules'])
def test_no_circles(level):
    graph: dict[str, dict[str, Import]] = {}
    for module, entries in all_imports().items():
        for entry in entries:
            start, end = (room_of(module), room_of(entry.target)) if level == 'rooms' else (module, entry.target)
            # A package's __init__ imports its modules; importing a sibling's package back is a circle, and found.
            if start != end and start and end:
                graph.setdefault(start, {}).setdefault(end, entry)
    circle = find_circle(graph)
    assert not circle, f'a circle of imports:\n{report(circle)}'


def find_circle(graph: dict[str, dict[str, Import]]) -> list[Import]:
    """Return the imports along a circle of the graph, or an empty list."""
    done: set[str] = set()

    def visit(node: str, trail: list[tuple[str, Import]]) -> list[Import]:
        on_trail = [name for name, _ in trail]
        if node in on_trail:
            return [entry for _, entry in trail[on_trail.index(node):]]
        if node in done:
            return []
        for following, entry in graph.get(node, {}).items():
            circle = visit(following, [*trail, (node, entry)])
            if circle:
                return circle
        done.add(node)
        return []

    return next(filter(None, (visit(node, []) for node in graph)), [])


def test_a_circle_is_found():
    one, two, three = (Import('x.py', line, 'mmwsss.x', False) for line in range(3))
    assert find_circle({'a': {'b': one}, 'b': {'c': two}, 'c': {'b': three}}) == [two, three]
    assert find_circle({'a': {'b': one, 'c': two}, 'b': {'c': three}}) == []


BLOCKS = (ast.For, ast.While, ast.If, ast.With, ast.Try)


def depth_of(node: ast.AST) -> int:
    """Return how deep the blocks below a node are nested; ``elif`` counts as its ``if``."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, depth_of(child) + (isinstance(child, BLOCKS) and not is_elif))
    return deepest


def test_files_and_functions_stay_readable():
    offenders = []
    for path in MODULES.values():
        text = path.read_text(encoding='utf-8')
        name = str(path.relative_to(REPO))
        if text.count('\n') > 400:
            offenders.append(f'{name}: {text.count(chr(10))} lines, at most 400')
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = node.end_lineno - node.lineno + 1 - len((ast.get_docstring(node) or '').splitlines())
                if length > 60 or depth_of(node) > 4:
                    offenders.append(f'{name}:{node.lineno}: {node.name} has {length} lines without its docstring '
                                     f'(at most 60) and is nested {depth_of(node)} deep (at most 4)')
    assert not offenders, '\n'.join(offenders)
