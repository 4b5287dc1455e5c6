"""Options that several commands have."""

from typing import Annotated

from cyclopts import Parameter

Changes = Annotated[dict[str, str] | None, Parameter(parse=False)]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
