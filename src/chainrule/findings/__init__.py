"""What a check or a query concludes."""

from chainrule.findings.finding import Finding

__all__ = ["Finding"]
