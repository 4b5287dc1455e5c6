"""Short runs before the training, that answer a question and leave everything as it was."""

from chainrule.probes.batch_stream import BatchStream
from chainrule.probes.budget import Budget, BudgetError
from chainrule.probes.choice import ActivationChoice, Compared
from chainrule.probes.comparing_activations import compare_activations
from chainrule.probes.finding_rates import find_lr
from chainrule.probes.found_rate import FoundRate
from chainrule.probes.subject import Subject, subject_of

__all__ = [
    "ActivationChoice",
    "BatchStream",
    "Budget",
    "BudgetError",
    "Compared",
    "FoundRate",
    "Subject",
    "compare_activations",
    "find_lr",
    "subject_of",
]
