import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from chainrule.components import build_network, user_error
from chainrule.components.user_code import load_user_object
from chainrule.errors import ChainruleError, TaskError, UserModuleError
from chainrule.tasks import ModelSpec

NET = """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.layer = nn.Linear(2, width)

    def forward(self, inputs):
        return self.layer(inputs)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of the user's, and everything that was imported from it forgotten afterwards."""
    before = dict(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - set(before[0]):
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    assert sys.path == before[1]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def network(module: str, dtype: torch.dtype = torch.float32, **arguments) -> nn.Module:
    return build_network(ModelSpec(module=module, arguments=arguments), (2,), 0, dtype)


def failing(folder: Path, make, kind: type[ChainruleError] = UserModuleError) -> str:
    with pytest.raises(kind) as caught:
        make()
    return str(caught.value).replace(str(folder), "FOLDER")


def test_a_class_from_a_file_with_arguments(folder):
    path = write(folder, "net.py", NET)
    model = network(f"{path}:Net", torch.float64, width=5)
    assert model.layer.weight.shape == (5, 2)
    assert model.layer.weight.dtype == torch.float64
    assert network("net.py:Net").layer.weight.shape == (3, 2)


def test_a_class_by_its_import_path(folder):
    write(folder, "mine/__init__.py", "")
    write(folder, "mine/nets.py", NET)
    assert network("mine.nets:Net", width=4).layer.weight.shape == (4, 2)
    assert isinstance(network("torch.nn:Linear", in_features=2, out_features=1), nn.Linear)


def test_a_function_that_makes_a_module_serves_too(folder):
    write(folder, "net.py", NET + "\ndef small():\n    return Net(1)\n")
    assert network("net.py:small").layer.weight.shape == (1, 2)


def test_the_seed_decides_and_the_global_state_is_left_alone(folder):
    write(folder, "net.py", NET)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second = network("net.py:Net"), network("net.py:Net")
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_default_dtype() == torch.float32
    assert torch.equal(first.layer.weight, second.layer.weight)


def test_numbers_that_a_module_writes_out_are_read_in_the_precision_of_the_run(folder):
    text = NET + "        self.constant = None\n"
    write(
        folder,
        "net.py",
        text.replace("        self.constant = None\n", "")
        + (
            "\nclass Constant(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        self.value = nn.Parameter(torch.tensor([0.1]))\n"
        ),
    )
    assert network("net.py:Constant", torch.float64).value.item() == 0.1


def test_two_files_of_the_same_name_do_not_collide(folder):
    write(folder, "a/net.py", NET.replace("width=3", "width=1"))
    write(folder, "b/net.py", NET.replace("width=3", "width=2"))
    first, second = network("a/net.py:Net"), network("b/net.py:Net")
    assert (first.layer.weight.shape, second.layer.weight.shape) == ((1, 2), (2, 2))
    assert type(first).__module__ != type(second).__module__


def test_files_beside_the_file_are_found_and_each_folders_own(folder):
    for name, width in (("a", 1), ("b", 2)):
        write(folder, f"{name}/helper.py", f"WIDTH = {width}\n")
        write(folder, f"{name}/parts/__init__.py", "from parts.sizes import EXTRA\n")
        write(folder, f"{name}/parts/sizes.py", f"EXTRA = {10 * width}\n")
        imports = "from helper import WIDTH\nfrom parts import EXTRA\n"
        write(folder, f"{name}/net.py", imports + NET.replace("width=3", "width=WIDTH + EXTRA"))
    assert network("a/net.py:Net").layer.weight.shape == (11, 2)
    assert network("b/net.py:Net").layer.weight.shape == (22, 2)
    assert network("a/net.py:Net").layer.weight.shape == (11, 2)


def test_a_file_beside_that_was_changed_is_read_again(folder):
    write(folder, "net.py", "from helper import WIDTH\n" + NET.replace("width=3", "width=WIDTH"))
    write(folder, "helper.py", "WIDTH = 1\n")
    assert network("net.py:Net").layer.weight.shape == (1, 2)
    write(folder, "helper.py", "WIDTH = 20\n")
    assert network("net.py:Net").layer.weight.shape == (20, 2)


def test_what_was_imported_under_a_neighbours_name_before_is_put_back(folder, monkeypatch):
    write(folder, "elsewhere/helper.py", "WIDTH = 7\n")
    monkeypatch.syspath_prepend(str(folder / "elsewhere"))
    sys_path = list(sys.path)
    import helper

    write(folder, "a/helper.py", "WIDTH = 1\n")
    write(folder, "a/net.py", "from helper import WIDTH\n" + NET.replace("width=3", "width=WIDTH"))
    assert network("a/net.py:Net").layer.weight.shape == (1, 2)
    assert sys.modules["helper"] is helper
    assert sys.path == sys_path
    monkeypatch.undo()
    del sys.modules["helper"]


def test_a_file_named_as_an_installed_package_does_not_replace_it(folder):
    write(folder, "json.py", "raise RuntimeError('not to be imported')\n")
    write(folder, "net.py", "import json\n" + NET)
    import json

    network("net.py:Net")
    assert sys.modules["json"] is json


def test_dataclasses_and_pickles_inside_a_users_file_work(folder):
    text = (
        "from __future__ import annotations\nimport pickle\nfrom dataclasses import dataclass, field\n"
        + NET
        + "\n@dataclass\nclass Size:\n    width: int = 4\n    more: list[int] = field(default_factory=list)\n"
        "\ndef make():\n    return Net(pickle.loads(pickle.dumps(Size())).width)\n"
    )
    write(folder, "net.py", text)
    assert network("net.py:make").layer.weight.shape == (4, 2)


def test_a_syntax_error(folder):
    write(folder, "net.py", "import torch\ndef f(:\n    pass\n")
    assert (
        failing(folder, lambda: network("net.py:Net"))
        == """\
net.py failed to import.
  where: model.module
  File "FOLDER/net.py", line 2
    def f(:
          ^
SyntaxError: invalid syntax"""
    )


def test_an_import_that_fails(folder):
    write(folder, "net.py", "import torch\nfrom no_such_package import x\n")
    assert (
        failing(folder, lambda: network("net.py:Net"))
        == """\
net.py failed to import.
  where: model.module
Traceback (your code, most recent call last):
  File "FOLDER/net.py", line 2, in <module>
    from no_such_package import x
ModuleNotFoundError: No module named 'no_such_package'"""
    )


def test_an_error_at_the_top_of_a_file_and_in_a_file_beside_it(folder):
    write(folder, "helper.py", "def half(x):\n    return x / 0\n")
    write(folder, "net.py", "from helper import half\nhalf(3)\n")
    assert (
        failing(folder, lambda: network("net.py:Net"))
        == """\
net.py failed to import.
  where: model.module
Traceback (your code, most recent call last):
  File "FOLDER/net.py", line 2, in <module>
    half(3)
  File "FOLDER/helper.py", line 2, in half
    return x / 0
           ~~^~~
ZeroDivisionError: division by zero"""
    )


def test_a_script_that_ends_itself_does_not_end_us(folder):
    write(folder, "net.py", "import sys\nsys.exit(3)\n")
    assert (
        failing(folder, lambda: network("net.py:Net"))
        == """\
net.py failed to import.
  where: model.module
Traceback (your code, most recent call last):
  File "FOLDER/net.py", line 2, in <module>
    sys.exit(3)
SystemExit: 3"""
    )


def test_a_module_by_its_path_that_fails_to_import(folder):
    write(folder, "broken.py", "value = undefined\n")
    assert (
        failing(folder, lambda: network("broken:Net"))
        == """\
The module broken failed to import.
  where: model.module
Traceback (your code, most recent call last):
  File "FOLDER/broken.py", line 1, in <module>
    value = undefined
            ^^^^^^^^^
NameError: name 'undefined' is not defined"""
    )
    assert (
        failing(folder, lambda: network("no_such_package.nets:Net"))
        == """\
The module no_such_package.nets failed to import.
  where: model.module
ModuleNotFoundError: No module named 'no_such_package'"""
    )


def test_init_that_fails_with_what_it_was_raised_from(folder):
    text = NET + (
        "\nclass Broken(nn.Module):\n    def __init__(self, size):\n        super().__init__()\n        try:\n"
        "            int(size)\n        except ValueError as error:\n"
        "            raise RuntimeError('no size') from error\n"
    )
    write(folder, "net.py", text)
    assert (
        failing(folder, lambda: network("net.py:Broken", size="many"))
        == """\
net.py:Broken failed to build.
  where: model.arguments
Traceback (your code, most recent call last):
  File "FOLDER/net.py", line 16, in __init__
    int(size)
ValueError: invalid literal for int() with base 10: 'many'

The error below came from it:

Traceback (your code, most recent call last):
  File "FOLDER/net.py", line 18, in __init__
    raise RuntimeError('no size') from error
RuntimeError: no size"""
    )
    assert torch.get_default_dtype() == torch.float32


def test_an_error_while_another_was_handled(folder):
    write(folder, "net.py", "try:\n    {}['a']\nexcept KeyError:\n    undefined\n")
    assert (
        failing(folder, lambda: network("net.py:Net"))
        == """\
net.py failed to import.
  where: model.module
Traceback (your code, most recent call last):
  File "FOLDER/net.py", line 2, in <module>
    {}['a']
    ~~^^^^^
KeyError: 'a'

While that was handled, another error came:

Traceback (your code, most recent call last):
  File "FOLDER/net.py", line 4, in <module>
    undefined
NameError: name 'undefined' is not defined"""
    )


def test_torch_frames_inside_a_users_init_are_left_out(folder):
    write(folder, "net.py", NET.replace("nn.Linear(2, width)", "nn.Linear(2, 'wide')"))
    text = failing(folder, lambda: network("net.py:Net"))
    assert text.splitlines()[:6] == [
        "net.py:Net failed to build.",
        "  where: model.arguments",
        "Traceback (your code, most recent call last):",
        '  File "FOLDER/net.py", line 7, in __init__',
        "    self.layer = nn.Linear(2, 'wide')",
        "                 ^^^^^^^^^^^^^^^^^^^^",
    ]
    assert text.splitlines()[6].startswith("TypeError: ")
    assert not {"torch/nn", "chainrule/"} & set(text.split())
    assert text.count("File ") == 1


def test_arguments_that_a_class_does_not_take(folder):
    write(folder, "net.py", NET)
    assert (
        failing(folder, lambda: network("net.py:Net", widht=3))
        == """\
net.py:Net failed to build.
  where:    model.arguments
  found:    widht = 3
  expected: arguments that fit Net(width=3)
TypeError: Net.__init__() got an unexpected keyword argument 'widht'"""
    )


def test_forward_that_fails_shows_the_users_lines_only(folder):
    write(folder, "net.py", NET.replace("self.layer(inputs)", "self.layer(inputs[:, :1])"))
    model = nn.Sequential(network("net.py:Net"))
    with pytest.raises(RuntimeError) as caught:
        model(torch.zeros(3, 2))
    text = str(user_error("Net failed in forward.", "inputs of shape (3, 2)", caught.value)).replace(
        str(folder), "FOLDER"
    )
    # The first frame is this very test, which is no part of torch or chainrule either.
    lines = text.splitlines()
    assert lines[:3] == [
        "Net failed in forward.",
        "  where: inputs of shape (3, 2)",
        "Traceback (your code, most recent call last):",
    ]
    assert lines[-4:-1] == [
        '  File "FOLDER/net.py", line 10, in forward',
        "    return self.layer(inputs[:, :1])",
        "           ^^^^^^^^^^^^^^^^^^^^^^^^^",
    ]
    assert lines[-1] == "RuntimeError: mat1 and mat2 shapes cannot be multiplied (3x1 and 2x3)"
    assert text.count("File ") == 2


def test_no_such_file(folder):
    write(folder, "network.py", NET)
    assert (
        failing(folder, lambda: network(f"{folder}/netwrok.py:Net"), TaskError)
        == """\
There is no file netwrok.py.
  where:    model.module
  found:    FOLDER/netwrok.py
  expected: a Python file
Did you mean 'network.py'?"""
    )


def test_no_such_class(folder):
    write(folder, "net.py", NET)
    assert (
        failing(folder, lambda: network("net.py:Nat"), TaskError)
        == """\
net.py has no 'Nat'.
  where:    model.module
  found:    Nat
  expected: one of Net
Did you mean 'Net'?"""
    )
    write(folder, "empty.py", "import torch\n")
    assert (
        failing(folder, lambda: network("empty.py:Net"), TaskError)
        == """\
empty.py has no 'Net'.
  where:    model.module
  found:    Net
  expected: a class"""
    )


def test_what_is_no_module(folder):
    write(folder, "net.py", "class Net:\n    pass\n")
    assert (
        failing(folder, lambda: network("net.py:Net"), TaskError)
        == """\
net.py:Net makes no module.
  where:    model.module
  found:    an object of type Net
  expected: a torch.nn.Module"""
    )


def test_what_cannot_be_called(folder):
    write(folder, "net.py", "WIDTH = 3\n")
    assert (
        failing(folder, lambda: network("net.py:WIDTH"), TaskError)
        == """\
net.py:WIDTH makes no module.
  where:    model.module
  found:    an object of type int
  expected: a torch.nn.Module"""
    )


@pytest.mark.parametrize("path", [":Net", "net.py:", "net.py", ""])
def test_half_a_path(path):
    with pytest.raises(TaskError) as caught:
        load_user_object(path, "model.module")
    assert (
        str(caught.value)
        == f"""\
The path of a class or function has two parts.
  where:    model.module
{f"  found:    {path}" + chr(10) if path else ""}  expected: "file.py:Name" or "package.module:Name\""""
    )


def test_a_folder_whose_name_begins_as_ours_is_the_users(folder):
    name = Path(sys.modules["chainrule"].__file__).parent.name + "_models"
    write(folder, f"{name}/net.py", "undefined\n")
    assert f'File "FOLDER/{name}/net.py", line 1' in failing(folder, lambda: network(f"{name}/net.py:Net"))


def test_an_installed_package_of_the_users_is_shown_when_nothing_nearer_is(folder):
    write(folder, "site-packages/mine.py", "undefined\n")
    assert 'File "FOLDER/site-packages/mine.py", line 1' in failing(
        folder, lambda: network("site-packages/mine.py:Net")
    )
