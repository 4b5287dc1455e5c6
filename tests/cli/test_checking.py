"""`chainrule check` on the command line: the verdict first, its exit code, and JSON."""

import json
import subprocess
import sys
from pathlib import Path

FORMULA = "dE/dw5 = (a_o1 - t1) * a_o1 * (1 - a_o1) * a_h1\n"


def test_right_wrong_and_not_understood_have_their_own_exit_codes(command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "right.txt").write_text(FORMULA)
    (tmp_path / "wrong.txt").write_text(FORMULA.replace("a_h1", "a_h2"))
    (tmp_path / "odd.txt").write_text("nothing here\n")
    right, wrong, odd = (command("check", f"{name}.txt") for name in ("right", "wrong", "odd"))
    assert (right.code, wrong.code, odd.code) == (0, 1, 2)
    assert "Right: one equation was checked, and it is right." in right.out
    assert "Wrong: ∂E/∂w5 is wrong; first at line 1." in wrong.out
    assert "Not understood. There is no equation in it." in odd.out


def test_json_is_one_object_and_nothing_else(command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "wrong.txt").write_text(FORMULA.replace("a_h1", "a_h2"))
    outcome = command("check", "wrong.txt", "--json")
    data = json.loads(outcome.out)
    assert outcome.code == 1
    assert data["verdict"] == "wrong"
    assert data["sheets"][0]["columns"][0]["slip"] == "wrong unit's activation: a_h2 stands where a_h1 belongs"


def test_a_file_that_is_not_there(command) -> None:  # type: ignore[no-untyped-def]
    outcome = command("check", "missing.txt")
    assert outcome.code == 2
    assert outcome.err.startswith("error: The file cannot be read.\n  where:    missing.txt\n")


def test_checking_never_imports_torch(tmp_path: Path) -> None:
    (tmp_path / "right.txt").write_text(FORMULA)
    code = (
        "import sys; from chainrule.cli.app import launch; "
        "code = launch(['check', 'right.txt']); assert code == 0; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)
