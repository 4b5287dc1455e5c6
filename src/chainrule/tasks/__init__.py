"""What to train: read, checked, written."""

from chainrule.tasks.data_spec import DataSpec
from chainrule.tasks.examples import example_description, example_names, example_text
from chainrule.tasks.overrides import override, parse_value
from chainrule.tasks.penalty_spec import PenaltySpec
from chainrule.tasks.reading import fingerprint, load_task, task_keys, task_toml
from chainrule.tasks.specs import Component, ModelSpec, RunSpec, ScheduleSpec, StopSpec
from chainrule.tasks.task import Task

__all__ = [
    "Component",
    "DataSpec",
    "ModelSpec",
    "PenaltySpec",
    "RunSpec",
    "ScheduleSpec",
    "StopSpec",
    "Task",
    "example_description",
    "example_names",
    "example_text",
    "fingerprint",
    "load_task",
    "override",
    "parse_value",
    "task_keys",
    "task_toml",
]
