"""Imports point one way, and the core needs only its declared dependencies.

`LAYERS` is the order of the package: a module imports, at module level, only from its own layer and
from those above it. A name stands for a module, or for a package and all that is in it; a wing
(`record`, `core`, `ops`, `compile`, `flow`) is listed module by module, all of one wing together,
so that wings have an order too. Imports inside a function are free: that is how optional libraries
are reached, and how the few calls that go down the list are made. Imports for type checkers only
are free as well.

`import headgate` itself stands below every module that `headgate/__init__.py` brings in.
"""

import ast
import graphlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LAYERS = [
    "naming",
    "record.site",
    "record.names",
    "record.errors",
    "record.cuts",
    "record.onlooker",
    "record.graph",
    "record.asked",
    "record.magnitude",
    "record.verdict",
    "core.namespace",
    "core.rows",
    "core.bundle",
    "core.scope",
    "core.settings",
    "core.host",
    "core.traced",
    "core.tensor",
    "core.lift",
    "core.alarm",
    "core.cotangent",
    "core.row",
    "core.failure",
    "core.op",
    "core.variable",
    "core.checks",
    "core.gates",
    "core.walk",
    "core.pull",
    "core.arguments",
    "core.asked",
    "core.jacobian",
    "core.birth",
    "core.tape",
    "core.again",
    "core.custom",
    "core.transforms",
    "ops.rules",
    "ops.elementwise",
    "ops.activations",
    "ops.reduce",
    "ops.shape",
    "ops.creation",
    "ops.functional",
    "ops.special",
    "ops.fft",
    "ops.linalg.matrices",
    "ops.linalg.ties",
    "ops.linalg.products",
    "ops.linalg.contract",
    "ops.linalg.diagonals",
    "ops.linalg.solvers",
    "ops.linalg.factors",
    "ops.linalg.spectra",
    "ops.linalg.least",
    "ops.linalg.norms",
    "ops.linalg.functions",
    "ops.index",
    "ops.numeric",
    "ops.windows",
    "ops.conv_numpy",
    "ops.conv",
    "ops.pool",
    "ops.operators",
    "linalg",
    "fft",
    "standard",
    "special",
    "state",
    "compile.executor",
    "compile.precision",
    "compile.alarms",
    "compile.backend",
    "compile.signature",
    "compile.leaks",
    "compile.function",
    "compile.construct",
    "compile.branch",
    "compile.loop",
    "compile.tangents",
    "compile.repeat",
    "compile.control",
    "compile.xla.dtypes",
    "compile.xla.conv",
    "compile.xla.random",
    "compile.xla.places",
    "compile.xla.special",
    "compile.xla.index",
    "compile.xla.namespace",
    "compile.xla.program",
    "compile.xla.control",
    "compile.xla.executor",
    "compile.xla.interop",
    "random",
    "data",
    "checkpoint",
    "optim",
    "nn",
    "losses",
    "metrics",
    "fit",
    "flow.trace",
    "flow.patterns",
    "flow.words",
    "flow.kinds",
    "flow.report",
    "flow.sarif",
    "flow.course",
    "flow.solve",
    "flow.updates",
    "flow.statements",
    "flow.terms",
    "flow.matrix",
    "flow.cancel",
    "flow.nested",
    "flow.judge",
    "flow.fold",
    "flow.text",
    "flow.page",
    "flow.watcher",
    "flow.watch.arrival",
    "flow.watch.border",
    "flow.watch.arithmetic",
    "flow.watch.lines",
    "flow.watch.steps",
    "flow.watch.log",
    "flow.watch.headgate",
    "flow.watch.torch.ops",
    "flow.watch.torch.values",
    "flow.watch.torch.frames",
    "flow.watch.torch.log",
    "flow.watch.torch.host",
    "flow.watch.torch.results",
    "flow.watch.torch.writes",
    "flow.watch.torch.mode",
    "flow.watch.torch.graph",
    "flow.watch.torch.shield",
    "flow.watch.torch.names",
    "flow.watch.torch.mistakes",
    "flow.watch.torch.records",
    "flow.watch.torch.wiped",
    "flow.watch.torch.steps",
    "flow.watch.torch.account",
    "flow.watch.torch.modules",
    "flow.watch.torch.functions",
    "flow.watch.torch.again",
    "flow.watch.torch.asking",
    "flow.watch.torch.transforms",
    "flow.watch.torch.session",
    "flow.watch.torch.watch",
    "flow.watch.torch.question",
    "flow.watch.torch.loops",
    "flow.watch.jax.ops",
    "flow.watch.jax.places",
    "flow.watch.jax.events",
    "flow.watch.jax.names",
    "flow.watch.jax.definitions",
    "flow.watch.jax.bystanders",
    "flow.watch.jax.forward",
    "flow.watch.jax.measure",
    "flow.watch.jax.log",
    "flow.watch.jax.optimizers",
    "flow.watch.jax.look",
    "flow.watch.jax.beside",
    "flow.watch.jax.calls",
    "flow.watch.jax.account",
    "flow.watch.jax.session",
    "flow.watch.jax.watch",
    "flow.watch.jax.question",
    "flow.watch.tensorflow.entrance",
    "flow.watch.tensorflow.ops",
    "flow.watch.tensorflow.values",
    "flow.watch.tensorflow.frames",
    "flow.watch.tensorflow.log",
    "flow.watch.tensorflow.provenance",
    "flow.watch.tensorflow.host",
    "flow.watch.tensorflow.walk",
    "flow.watch.tensorflow.names",
    "flow.watch.tensorflow.notes",
    "flow.watch.tensorflow.optimizers",
    "flow.watch.tensorflow.replay",
    "flow.watch.tensorflow.functions",
    "flow.watch.tensorflow.mistakes",
    "flow.watch.tensorflow.account",
    "flow.watch.tensorflow.session",
    "flow.watch.tensorflow.watch",
    "flow.watch.tensorflow.question",
    "flow.children",
    "flow.run",
    "why",
    "testing",
    "tf",
    "examples",
    "cli",
]

# What pyproject.toml requires, by import name. All else is optional, and imported inside functions.
REQUIRED = {"array_api_compat", "numpy", "optree", "rich", "safetensors", "typer"}
EXAMPLES = {"gymnasium", "matplotlib", "sklearn"}

SOURCE = Path(__file__).parents[2] / "src"
FILES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SOURCE.glob("headgate/**/*.py"))
}


def layer_of(module: str) -> str:
    """Return the name in LAYERS that a module belongs to, or its own; empty for headgate itself."""
    name = module.partition(".")[2]
    while name and name not in LAYERS and "." in name:
        name = name.rpartition(".")[0]
    return name


WINGS = {name.rpartition(".")[0] for name in LAYERS if "." in name}
"""The packages that are listed by their parts."""


def is_init(path: Path) -> bool:
    return path.name == "__init__.py"


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
            # `from headgate.core import tape` imports a module, `from ... import x` a name.
            yield statement.lineno, name if name in FILES else base


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """Return one sentence for each import that the rules forbid."""
    layer = layer_of(module)
    third_party = REQUIRED | (EXAMPLES if layer == "examples" else set())
    if layer.startswith("flow.watch.torch.") and layer != "flow.watch.torch.watch":
        third_party |= {"torch"}  # nothing imports these before the program has
    if layer.startswith("flow.watch.jax.") and layer != "flow.watch.jax.watch":
        third_party |= {"jax"}
    if layer.startswith("flow.watch.tensorflow.") and layer != "flow.watch.tensorflow.watch":
        third_party |= {"tensorflow"}
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
            waiting += [name for _, name in imports(source, name, is_init(path))]
    return seen


ROOT = imported_with("headgate")


def test_a_wing_is_one_storey():
    wings = [name.partition(".")[0] for name, _ in itertools.groupby(LAYERS, first_level)]
    assert len(wings) == len(set(wings)), "the modules of one wing stand together in LAYERS"


def first_level(name: str) -> str:
    return name.partition(".")[0]


def test_no_circle_of_imports():
    graph = {
        module: [
            name
            for _, name in imports(path.read_text(encoding="utf-8"), module, is_init(path))
            if name in FILES and name != module
        ]
        for module, path in FILES.items()
    }
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names it


@pytest.mark.parametrize("wing", sorted(WINGS))
def test_a_wing_says_what_lives_in_it_and_imports_nothing(wing):
    path = SOURCE / "headgate" / wing.replace(".", "/") / "__init__.py"
    text, *rest = ast.parse(path.read_text(encoding="utf-8")).body
    assert isinstance(text, ast.Expr)
    assert not rest


@pytest.mark.parametrize("module", [name for name in FILES if layer_of(name) not in WINGS])
def test_module_imports_only_from_above(module):
    layer = layer_of(module)
    assert not layer or layer in LAYERS, (
        f"{module} has no place in the order of the package: "
        f"add {layer!r} to LAYERS in {Path(__file__).name}, below everything it imports"
    )
    path = FILES[module]
    found = violations(path.read_text(encoding="utf-8"), module, is_init(path))
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
        ("headgate.record.graph", "from headgate.core.tape import GradientTape"),
        ("headgate.record.graph", "from headgate.core import tape"),
        ("headgate.core.tensor", "from . import tape"),
        ("headgate.ops.shape", "from ..core.tape import nothing\nfrom . import conv"),
        ("headgate.record.graph", "import headgate as hg"),
        ("headgate.record.graph", "try:\n    import jax\nexcept ImportError:\n    jax = None"),
        ("headgate.record.graph", "class Node:\n    import torch"),
        ("headgate.core.tape", "import matplotlib.pyplot as plt"),
        ("headgate.examples.gan", "import jax"),
        ("headgate.core.tape", "import headgate.nowhere"),
    ],
)
def test_the_check_finds_a_wrong_import(module, source):
    assert len(violations(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("headgate.core.tape", "from headgate.record.graph import Node"),
        ("headgate.core.tape", "from . import walk"),
        ("headgate.ops.shape", "from headgate.ops.elementwise import exp"),
        ("headgate.record.graph", "import threading\nimport numpy as np"),
        ("headgate.record.graph", "def run():\n    import jax\n    from headgate import tape"),
        (
            "headgate.record.graph",
            "if TYPE_CHECKING:\n    from headgate.core.tape import GradientTape",
        ),
        ("headgate.examples.gan", "from sklearn.datasets import load_digits"),
        ("headgate.cli", "import headgate as hg"),
    ],
)
def test_the_check_allows_a_right_import(module, source):
    assert violations(source, module) == []
