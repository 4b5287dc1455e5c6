import importlib
import pkgutil
import subprocess
import sys

import pytest

import chainrule


def modules_after(statement: str) -> set[str]:
    """Return what is in sys.modules after a statement in a fresh interpreter."""
    program = f"import sys\n{statement}\nprint(*sys.modules, sep='\\n')"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def test_every_exported_name_resolves_to_the_object_of_its_home():
    assert sorted(chainrule.__all__) == list(chainrule.__all__)
    for name in set(chainrule.__all__) - {"__version__"}:
        home = importlib.import_module(chainrule._HOMES[name])
        assert name in getattr(home, "__all__", vars(home))
        assert getattr(chainrule, name) is getattr(home, name)
    assert isinstance(chainrule.__version__, str)


def test_dir_is_the_exported_names_and_nothing_else_is_reached_through_the_door():
    assert dir(chainrule) == sorted(chainrule.__all__)
    assert set(chainrule._HOMES) == set(chainrule.__all__) - {"__version__"}
    with pytest.raises(AttributeError, match=r"^module 'chainrule' has no attribute 'nonesuch'$"):
        _ = chainrule.nonesuch


def test_a_star_import_brings_the_exported_names():
    names = modules_names_of_star_import()
    assert names == set(chainrule.__all__)


def modules_names_of_star_import() -> set[str]:
    space: dict[str, object] = {}
    exec("from chainrule import *", space)  # noqa: S102
    return set(space) - {"__builtins__"}


def test_no_public_name_is_a_modules_name():
    modules = {module.name for module in pkgutil.iter_modules(chainrule.__path__)}
    assert modules
    assert not modules & set(chainrule.__all__)


@pytest.mark.parametrize(
    "package", [module.name for module in pkgutil.iter_modules(chainrule.__path__) if module.ispkg]
)
def test_no_name_that_a_package_exports_is_one_of_its_modules(package):
    module = importlib.import_module(f"chainrule.{package}")
    inside = {found.name for found in pkgutil.iter_modules(module.__path__)}
    assert not inside & set(getattr(module, "__all__", ()))
    for name in getattr(module, "__all__", ()):
        assert hasattr(module, name)


@pytest.mark.parametrize(
    "statement",
    ["import chainrule", "import chainrule.errors", "import chainrule.cli.app", "dir(__import__('chainrule'))"],
)
def test_torch_is_not_imported_before_it_is_used(statement):
    loaded = modules_after(statement)
    assert "chainrule" in loaded
    assert not {name for name in loaded if name.partition(".")[0] in {"torch", "sklearn", "matplotlib", "polars"}}


def test_the_first_use_of_a_name_does_import_it():
    assert {"torch", "chainrule.tasks"} <= modules_after("import chainrule; chainrule.Task")
