import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from chainrule.documents import Block, Callout, Document, Entries, Entry, Fold, Graph, Heading, Prose, Table
from chainrule.errors import UnknownNameError
from chainrule.render.page import page_html
from chainrule.render.terminal import print_document
from chainrule.reports.trace_entries import line_text
from chainrule.reports.trace_report import trace_document
from chainrule.reports.trace_tree import is_inside
from chainrule.trace import Source, Trace

from .trace_cases import NAMES, trace_of


def blocks_in(blocks: tuple[Block, ...]) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Fold):
            yield from blocks_in(block.blocks)


def entries_in(document: Document) -> list[Entry]:
    return [entry for block in blocks_in(document.blocks) if isinstance(block, Entries) for entry in block.entries]


def headings(document: Document) -> list[str]:
    return [block.text for block in document.blocks if isinstance(block, Heading)]


def callouts(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in document.blocks if isinstance(block, Callout)]


def entry_of(document: Document, mark: str) -> Entry:
    (found,) = (entry for entry in entries_in(document) if entry.mark == mark)
    return found


def printed(document: Document, width: int = 100) -> str:
    file = io.StringIO()
    print_document(document, Console(file=file, width=width))
    return file.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_every_op_parameter_and_update_has_one_entry(name: str) -> None:
    trace = trace_of(name)
    entries = entries_in(trace_document(trace, most_ops=10_000))
    marks = [entry.mark for entry in entries if entry.mark]
    assert sorted(marks) == sorted(f"#{op.id}" for op in trace.ops if op.phase != "update")
    names = [entry.title for entry in entries if not entry.mark]
    for value in trace.parameters:
        updates = sum(update.parameter == value.name for update in trace.updates)
        assert names.count(value.name) == 1 + updates


@pytest.mark.parametrize("name", NAMES)
def test_every_view_can_be_drawn(name: str) -> None:
    document = trace_document(trace_of(name))
    page_html(document)
    assert max(len(line) for line in printed(document, 60).splitlines()) <= 60


def test_the_worked_example_shows_every_number() -> None:
    document = trace_document(trace_of("two-two-two"))
    assert document.title == "One step of TwoTwoTwo, loss 0.298371"
    assert headings(document) == [
        "Graph",
        "What went in",
        "Forward: 4 ops",
        "Loss: 4 ops",
        "Backward: 8 ops",
        "Update: SGD",
    ]
    fc2 = entry_of(document, "#2")
    assert (fc2.title, fc2.flow) == (
        "fc2: linear",
        "sigmoid [1, 2], fc2.weight [2, 2], fc2.bias [2] → fc2.linear [1, 2]",
    )
    # The numbers of Mazur's worked example: net input 1.10590597, 1.2249214, and ∂E/∂w5 = 0.08216704.
    assert fc2.facts == (
        ("value", "[[1.10591, 1.22492]]"),
        ("adjoint", "[[0.138499, -0.0380982]]"),
        ("sends back to sigmoid", "[[0.0363503, 0.0413703]]"),
        ("sends back to fc2.weight", "[[0.082167, 0.0826676], [-0.0226025, -0.0227402]]"),
        ("sends back to fc2.bias", "[0.138499, -0.0380982]"),
    )
    backward = entry_of(document, "#13")
    assert backward.flow.startswith("∂L/∂fc2.linear (norm 0.1436) → ∂L/∂sigmoid (norm 0.05507), ")
    (update,) = (entry for entry in entries_in(document) if entry.title == "fc2.bias" and entry.facts[0][0] == "before")
    assert update.facts == (
        ("before", "[0.6, 0.6]"),
        ("gradient", "[0.138499, -0.0380982]"),
        ("term gradient step", "−η·g = [-0.0692493, 0.0190491]"),
        ("change", "[-0.0692493, 0.0190491]"),
        ("after", "[0.530751, 0.619049]"),
    )
    assert any(isinstance(block, Prose) and block.text == "lr 0.5" for block in document.blocks)


def test_a_line_of_code_stands_with_its_place_and_is_cut_when_it_is_long() -> None:
    assert line_text(Source("/home/me/net.py", 12, "forward", "h = self.fc1(x)")) == "net.py:12: h = self.fc1(x)"
    assert line_text(Source("C:\\\\net.py", 12, "forward")) == "net.py:12"
    assert line_text(Source("net.py", 1, "f", "x" * 200)) == "net.py:1: " + "x" * 99 + "…"


def test_a_value_that_is_used_twice_says_what_its_adjoint_is_the_sum_of() -> None:
    trace = trace_of("residual")
    shared = next(value for value in trace.values if len([use for use in value.uses if use.sent]) == 2)
    adjoint = dict(entry_of(trace_document(trace), f"#{shared.producer}").facts)["adjoint"]
    ops = [f"#{use.op}" for use in shared.uses if use.sent]
    assert adjoint.endswith(f"\nthe sum over 2 uses, in {', '.join(ops)}")


def test_state_of_the_optimizer_and_every_term_are_told() -> None:
    document = trace_document(trace_of("residual"))
    update = next(
        entry for entry in entries_in(document) if entry.title == "head.bias" and entry.facts[0][0] == "before"
    )
    labels = [label for label, _ in update.facts]
    assert labels[:2] == ["before", "gradient"]
    assert labels[-3:] == ["after", "momentum_buffer before", "momentum_buffer after"]
    assert any(label.startswith("term ") for label in labels)
    assert ("momentum_buffer before", "none, as this is the first update") in update.facts


def test_a_failed_step_is_shown_as_far_as_it_went() -> None:
    document = trace_document(trace_of("hand built"))
    assert document.title == "One step of Net, without a loss"
    assert callouts(document) == [
        (
            "error",
            "The step has no loss: it failed before, or backward() was not called while it was recorded. "
            "What ran is shown.",
        ),
        (
            "warning",
            "From op #1 on there are only statistics: the byte budget of 1,000,000 bytes was used up. A larger "
            "byte_budget keeps more tensors.",
        ),
        ("note", "The inside of #1 Mystery cannot be seen: It is a custom Function."),
        ("note", "torch.compile was set aside: it is recorded as it stands."),
    ]
    linear = entry_of(document, "#0")
    assert (linear.title, linear.flow) == ("fc: linear", "input [2], fc.weight [3, 2] → %2 [3]")
    assert linear.facts == (
        ("value", "mean 0.5 ± 1, from -1 to 2, 25 % zero"),
        ("adjoint", "none: the backward pass never came here"),
    )
    assert entry_of(document, "#1").facts[0] == ("value", "3 elements, none of them finite")
    weight = next(entry for entry in entries_in(document) if entry.title == "fc.weight")
    assert weight.facts[0] == ("value", "missing because it was freed")


def test_a_budget_that_was_used_up_is_told() -> None:
    trace = trace_of("residual, small budget")
    assert trace.left_out is not None
    assert any(text.startswith(f"From op #{trace.left_out.op} on") for _, text in callouts(trace_document(trace)))


def test_tensors_that_became_numbers_are_listed_with_their_lines() -> None:
    document = trace_document(trace_of("recurrent"))
    assert "Tensors that became Python numbers" in headings(document)
    (table,) = (block for block in blocks_in(document.blocks) if isinstance(block, Table) and block.columns[0].header)
    assert table.rows[0][0] == "bool"
    assert table.rows[0][2] == "False"


def closed_folds(document: Document) -> list[str]:
    return [block.summary for block in document.blocks if isinstance(block, Fold) and not block.is_open]


def test_a_deep_model_is_a_line_for_each_layer() -> None:
    document = trace_document(trace_of("deep encoder"), with_graph=False)
    folds = closed_folds(document)
    for number in range(12):
        ops = sum(
            op.phase == "forward" and is_inside(op.module, f"layers.{number}") for op in trace_of("deep encoder").ops
        )
        assert any(line.startswith(f"layers.{number} (TransformerEncoderLayer): {ops} ops, ") for line in folds)
    assert len(printed(document).splitlines()) < 150


def test_one_module_is_shown_with_what_it_takes() -> None:
    trace = trace_of("deep encoder")
    document = trace_document(trace, module="layers.3.self_attn")
    assert document.title == "One step of TransformerEncoder: inside layers.3.self_attn (MultiheadAttention)"
    inside = {f"#{op.id}" for op in trace.ops if op.module.startswith("layers.3.self_attn") and op.phase != "update"}
    assert {entry.mark for entry in entries_in(document) if entry.mark} == inside
    assert any(isinstance(block, Graph) for block in document.blocks)
    parameters = {entry.title for entry in entries_in(document) if not entry.mark}
    assert parameters == {value.name for value in trace.parameters if value.name.startswith("layers.3.self_attn.")}
    with pytest.raises(UnknownNameError, match=r"^The model has no module 'layers\.33'\."):
        trace_document(trace, module="layers.33")


@pytest.mark.parametrize("depth", [0, 1, 2, 9])
def test_depth_says_how_deep_modules_are_open(depth: int) -> None:
    def levels(blocks: tuple[Block, ...]) -> int:
        folds = [block for block in blocks if isinstance(block, Fold) and block.is_open]
        return 1 + max(levels(fold.blocks) for fold in folds) if folds else 0

    document = trace_document(trace_of("encoder"), ("forward",), depth=depth)
    start = next(
        place for place, block in enumerate(document.blocks) if str(getattr(block, "text", "")).startswith("Forward: ")
    )
    assert levels(document.blocks[start:]) == min(depth, 2)


@pytest.mark.parametrize("most", [0, 1, 7, 50, 100])
def test_what_is_not_shown_is_counted(most: int) -> None:
    trace = trace_of("encoder")
    everything = len(entries_in(trace_document(trace)))
    document = trace_document(trace, most_ops=most)
    assert len(entries_in(document)) == most
    assert callouts(document)[-1] == (
        "note",
        f"Of what was recorded, {everything - most:,} entries are not shown, as there are {most:,} already. To see "
        "them, ask for one module (trace_document(trace, module=PATH), `chainrule record ... --module PATH`) or for "
        "more entries (most_ops).",
    )


def test_a_long_row_has_its_middle_folded() -> None:
    document = trace_document(trace_of("recurrent"), ("forward",), with_graph=False)
    middle = [block for block in document.blocks if isinstance(block, Fold) and block.summary.startswith("… ")]
    assert len(middle) == 1
    assert not middle[0].is_open


def test_phases_are_chosen() -> None:
    document = trace_document(trace_of("encoder"), ("backward",), with_graph=False)
    assert [text.partition(":")[0] for text in headings(document)] == ["What went in", "Backward"]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "hand built"])
def test_a_trace_that_was_saved_looks_the_same(name: str, tmp_path: Path) -> None:
    trace = trace_of(name)
    trace.save(tmp_path / "step.safetensors")
    again = Trace.load(tmp_path / "step.safetensors")
    assert trace_document(again) == trace_document(trace)


def test_a_trace_shows_itself(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    trace = trace_of("two-two-two")
    trace.show()
    assert capsys.readouterr().out.startswith("One step of TwoTwoTwo, loss 0.298371\n")
    trace.write_page(tmp_path / "step.html")
    assert (tmp_path / "step.html").read_text(encoding="utf-8") == page_html(trace.to_document())
    assert trace._repr_html_().startswith('<div class="chainrule-document">')
