"""Results that can be looked at: in a notebook, on a terminal, as a page.

A result lies below the reports that describe it and the renderers that draw it, so they are looked up by name when
they are first used, as the command table looks up commands. This table is the only place that knows them.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chainrule.documents.document import Document

_REPORTS = {
    "Trace": "chainrule.reports.trace_report:trace_document",
    "Explanation": "chainrule.reports.explanation:explanation_document",
    "Answer": "chainrule.reports.answer:answer_document",
    "Verification": "chainrule.reports.verification:verification_document",
    "ActivationChoice": "chainrule.reports.activation_choice:activation_choice_document",
    "Sweep": "chainrule.reports.sweep:sweep_document",
    "FoundRate": "chainrule.reports.found_rate:found_rate_document",
    "Map": "chainrule.reports.map_report:map_document",
}
_PAGE = "chainrule.render.page:page_html"
_FRAGMENT = "chainrule.render.page:fragment_html"
_TERMINAL = "chainrule.render.terminal:print_document"


class Shown:
    """A result that has a document, and so a face for the notebook, the terminal and the browser."""

    __slots__ = ()

    def to_document(self) -> "Document":
        """Return what there is to see."""
        document: Document = _load(_REPORTS[type(self).__name__])(self)
        return document

    def show(self) -> None:
        """Print it on the terminal."""
        _load(_TERMINAL)(self.to_document())

    def write_page(self, path: str | Path) -> None:
        """Write it as one HTML file that needs nothing else.

        Raises:
            OutputError: the file cannot be written.
        """
        page: str = _load(_PAGE)(self.to_document())
        _load("chainrule.files:write_atomically")(Path(path), page.encode())

    def _repr_html_(self) -> str:
        fragment: str = _load(_FRAGMENT)(self.to_document())
        return fragment


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
