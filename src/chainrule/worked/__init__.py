"""The worked example of a recorded step: its trace as a program of scalar assignments."""

from chainrule.worked.assembling import program_of
from chainrule.worked.names import Names
from chainrule.worked.refusals import WorkedExampleError

__all__ = ["Names", "WorkedExampleError", "program_of"]
