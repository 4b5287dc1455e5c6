"""What to train: read, checked, written."""

from chainrule.tasks.data_spec import DataSpec
from chainrule.tasks.penalty_spec import PenaltySpec
from chainrule.tasks.reading import fingerprint, load_task, task_keys, task_toml
from chainrule.tasks.specs import Component, MapSpec, ModelSpec, RunSpec, ScheduleSpec, StopSpec
from chainrule.tasks.task import Task

__all__ = [
    "Component",
    "DataSpec",
    "MapSpec",
    "ModelSpec",
    "PenaltySpec",
    "RunSpec",
    "ScheduleSpec",
    "StopSpec",
    "Task",
    "fingerprint",
    "load_task",
    "task_keys",
    "task_toml",
]
