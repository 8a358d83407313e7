"""Nothing stands in the package for its tests alone: no function, class or constant, and no parameter."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
FACES = ("cmae_ablate.cli.python", "cmae_ablate.training.interop")
"""What they define is documented for everybody's own programs."""
SEAMS = {
    "watch_status pause": "a test waits for nobody",
    "prepare root": "a test has a cache of its own",
    "run_workers grace_seconds": "a test kills a worker that hangs within a second",
    "check_databases mounts": "no machine has every file system",
    "matmul_speed seconds": "a test measures for a moment",
}
"""Parameters that tests alone pass, to be quick or alone with themselves."""

Name = tuple[str, str]
"""A module and what it defines."""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def modules() -> dict[str, ast.Module]:
    return {name_of(path): ast.parse(path.read_text()) for path in (ROOT / "cmae_ablate").rglob("*.py")}


@cache
def imported(module: str) -> dict[str, str]:
    """What the module's names stand for: `package.module` or `package.module.thing`."""
    nodes = [node for node in ast.walk(modules()[module]) if isinstance(node, ast.ImportFrom)]
    return {
        alias.asname or alias.name: f"{node.module}.{alias.name}" for node in nodes for alias in node.names
    }


def definitions(module: str) -> Iterator[tuple[str, ast.stmt]]:
    for node in modules()[module].body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign):
            targets = (each for target in node.targets for each in ast.walk(target))
            yield from ((each.id, node) for each in targets if isinstance(each, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node


def is_stored(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


@cache
def origin(module: str, name: str) -> Name:
    """Where a name of a module is defined, through all that only hand it on."""
    full = imported(module).get(name, f"{module}.{name}")
    place, _, thing = full.rpartition(".")
    return (place, thing) if place == module or place not in modules() else origin(place, thing)


def meant(module: str, node: ast.AST) -> Name | None:
    """What a name, or an attribute of a module, stands for."""
    if isinstance(node, ast.Name) and not is_stored(node):
        return origin(module, node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        place = imported(module).get(node.value.id, "")
        return origin(place, node.attr) if place in modules() else None
    return None


@cache
def uses() -> tuple[frozenset[Name], dict[Name, list[ast.Call]]]:
    """What is named anywhere but in its own definition, and the calls of it."""
    named: set[Name] = set()
    called: dict[Name, list[ast.Call]] = {}
    for module, tree in modules().items():
        defined: dict[ast.stmt, set[Name]] = {}
        for name, node in definitions(module):
            defined.setdefault(node, set()).add((module, name))
        for top in tree.body:
            for node in ast.walk(top):
                found = meant(module, node)
                if found is not None and found not in defined.get(top, ()):
                    named.add(found)
                if isinstance(node, ast.Call) and (callee := meant(module, node.func)):
                    called.setdefault(callee, []).append(node)
                    if callee == ("functools", "partial") and (first := meant(module, node.args[0])):
                        rest = ast.Call(node.args[0], node.args[1:], node.keywords)
                        called.setdefault(first, []).append(rest)
    return frozenset(named), called


def test_no_function_class_or_constant_is_named_by_tests_alone() -> None:
    named, _ = uses()
    unnamed = {
        f"{module}.{name}"
        for module in modules()
        for name, node in definitions(module)
        if (module, name) not in named and not name.startswith("__") and not is_public(module, node)
    }
    assert sorted(unnamed) == []


def test_no_parameter_is_passed_by_tests_alone_but_those_that_say_why() -> None:
    _, called = uses()
    unpassed = {
        f"{node.name} {name}"
        for module in modules()
        for _, node in definitions(module)
        if isinstance(node, ast.FunctionDef) and not is_public(module, node)
        for name, place in optional(node.args)
        if not any(passes(call, name, place) for call in called.get((module, node.name), ()))
    }
    assert sorted(unpassed) == sorted(SEAMS)


def is_public(module: str, node: ast.stmt) -> bool:
    """A component that registers, a command, or what is documented for others."""
    return module in FACES or bool(getattr(node, "decorator_list", ()))


def optional(arguments: ast.arguments) -> Iterator[tuple[str, int]]:
    """Parameters with a default, and their places; those by name alone are never reached by place."""
    every = [*arguments.posonlyargs, *arguments.args]
    first = len(every) - len(arguments.defaults)
    yield from ((each.arg, place) for place, each in enumerate(every) if place >= first)
    for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            yield each.arg, 99


def passes(call: ast.Call, name: str, place: int) -> bool:
    has_star = any(isinstance(each, ast.Starred) for each in call.args)
    return has_star or len(call.args) > place or any(each.arg in (name, None) for each in call.keywords)
