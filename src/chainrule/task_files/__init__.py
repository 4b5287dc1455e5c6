"""Task files before they are checked: TOML, the built-in examples, and keys changed from outside. No torch."""

from chainrule.task_files.examples import example_description, example_names, example_text, is_for_maps
from chainrule.task_files.overrides import override, parse_value
from chainrule.task_files.reading import absolute_paths, keys_of, with_code_replaced

__all__ = [
    "absolute_paths",
    "example_description",
    "example_names",
    "example_text",
    "is_for_maps",
    "keys_of",
    "override",
    "parse_value",
    "with_code_replaced",
]
