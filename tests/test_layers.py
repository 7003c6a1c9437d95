"""Imports point one way, and the core needs only its declared dependencies.

`LAYERS` is the order of the package: a module imports, at module level, only from its own layer
and from those above it. A name stands for a module, or for a package and all that is in it.
Imports inside a function are free: that is how optional libraries are reached, and how the few
calls that go down the list are made. Imports for type checkers only are free as well.

`import headgate` itself stands below every module that `headgate/__init__.py` brings in.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LAYERS = [
    "namespace",
    "graph",
    "bundle",
    "scope",
    "tensor",
    "op",
    "ops",
    "variable",
    "gates",
    "operators",
    "walk",
    "magnitude",
    "verdict",
    "tape",
    "custom",
    "transforms",
    "linalg",
    "xla_random",
    "random",
    "xla",
    "signature",
    "leaks",
    "function",
    "xla_control",
    "control",
    "interop",
    "nn",
    "optim",
    "losses",
    "metrics",
    "data",
    "checkpoint",
    "flow",
    "tf",
    "array_api",
    "testing",
    "examples",
    "cli",
]

# What pyproject.toml requires, by import name. All else is optional, and imported inside functions.
REQUIRED = {"array_api_compat", "numpy", "optree", "rich", "safetensors", "typer"}
EXAMPLES = {"gymnasium", "matplotlib", "sklearn"}

SOURCE = Path(__file__).parents[1] / "src"
FILES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SOURCE.glob("headgate/**/*.py"))
}


def layer_of(module: str) -> str:
    """Return the name below headgate that a module belongs to; empty for headgate itself."""
    return module.partition(".")[2].partition(".")[0]


def module_level(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that run when the module is imported."""
    for statement in body:
        match statement:
            case ast.Import() | ast.ImportFrom():
                yield statement
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                continue
            case ast.If(test=test, orelse=orelse) if "TYPE_CHECKING" in ast.unparse(test):
                yield from module_level(orelse)
            case _:
                for field in ("body", "orelse", "finalbody"):
                    yield from module_level(getattr(statement, field, []))
                for handler in getattr(statement, "handlers", []):
                    yield from module_level(handler.body)


def imports(source: str, module: str, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """Yield the line and the full name of every module imported at module level."""
    for statement in module_level(ast.parse(source).body):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield statement.lineno, alias.name
            continue
        base = statement.module or ""
        if statement.level:
            parents = module.split(".")
            up = len(parents) - statement.level + is_package
            base = ".".join([*parents[:up], *filter(None, [base])])
        for alias in statement.names:
            name = f"{base}.{alias.name}"
            # `from headgate import tape` imports a module, `from headgate.tape import x` a name.
            yield statement.lineno, name if name in FILES else base


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """Return one sentence for each import that the rules forbid."""
    layer = layer_of(module)
    third_party = REQUIRED | (EXAMPLES if layer == "examples" else set())
    found = []
    for line, name in imports(source, module, is_package):
        top, target = name.partition(".")[0], layer_of(name)
        where = f"{module}, line {line}: imports {name}"
        if top != "headgate":
            if top not in third_party and top not in sys.stdlib_module_names:
                found.append(f"{where}, which is optional: import it inside the function using it")
        elif not layer or module == name:
            continue
        elif not target:
            if module in ROOT:
                found.append(f"{where}, whose __init__ imports {module}: name the module you need")
        elif target not in LAYERS:
            found.append(f"{where}, which has no place in LAYERS")
        elif LAYERS.index(target) > LAYERS.index(layer):
            found.append(f"{where}, which is below it in LAYERS")
    return found


def imported_with(module: str) -> set[str]:
    """Return the modules of the package that importing this one runs, itself included."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in FILES and name not in seen:
            seen.add(name)
            path = FILES[name]
            source = path.read_text(encoding="utf-8")
            waiting += [name for _, name in imports(source, name, path.name == "__init__.py")]
    return seen


ROOT = imported_with("headgate")


@pytest.mark.parametrize("module", FILES)
def test_module_imports_only_from_above(module):
    layer = layer_of(module)
    assert not layer or layer in LAYERS, (
        f"{module} has no place in the order of the package: "
        f"add {layer!r} to LAYERS in {Path(__file__).name}, below everything it imports"
    )
    path = FILES[module]
    found = violations(path.read_text(encoding="utf-8"), module, path.name == "__init__.py")
    assert not found, "\n".join(found)


def test_package_init_has_no_logic():
    for statement in ast.parse(FILES["headgate"].read_text(encoding="utf-8")).body:
        match statement:
            case ast.Import() | ast.ImportFrom():
                continue
            case ast.Expr(value=ast.Constant(value=str())):
                continue
            case ast.Assign(targets=[ast.Name(id="__all__" | "__version__")]):
                continue
        pytest.fail(f"headgate/__init__.py, line {statement.lineno}: {ast.unparse(statement)}")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("headgate.graph", "from headgate.tape import GradientTape"),
        ("headgate.graph", "from . import tape"),
        ("headgate.ops.shape", "from ..tape import GradientTape"),
        ("headgate.graph", "import headgate as hg"),
        ("headgate.graph", "try:\n    import jax\nexcept ImportError:\n    jax = None"),
        ("headgate.graph", "class Node:\n    import torch"),
        ("headgate.tape", "import matplotlib.pyplot as plt"),
        ("headgate.examples.gan", "import jax"),
        ("headgate.tape", "import headgate.nowhere"),
    ],
)
def test_the_check_finds_a_wrong_import(module, source):
    assert len(violations(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("headgate.tape", "from headgate.graph import Node"),
        ("headgate.tape", "from . import graph"),
        ("headgate.ops.shape", "from headgate.ops.elementwise import exp"),
        ("headgate.graph", "import threading\nimport numpy as np"),
        ("headgate.graph", "def run():\n    import jax\n    from headgate import tape"),
        ("headgate.graph", "if TYPE_CHECKING:\n    from headgate.tape import GradientTape"),
        ("headgate.examples.gan", "from sklearn.datasets import load_digits"),
        ("headgate.cli", "import headgate as hg"),
    ],
)
def test_the_check_allows_a_right_import(module, source):
    assert violations(source, module) == []
