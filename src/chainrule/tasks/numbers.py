"""The numbers of a task: true and "3" are no numbers in TOML, and neither is NaN anything to train with."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError


def _refuse_words_for(kind: str) -> BeforeValidator:
    def refuse(value: Any) -> Any:
        if isinstance(value, bool | str):  # Python counts true as 1, and pydantic reads "3" as 3
            raise PydanticCustomError("no_number", kind)
        return value

    return BeforeValidator(refuse)


Whole = Annotated[int, _refuse_words_for("a whole number")]
Count = Annotated[int, Field(ge=1), _refuse_words_for("a whole number")]
Seed = Annotated[int, Field(ge=0, lt=2**63), _refuse_words_for("a whole number")]
Number = Annotated[float, Field(allow_inf_nan=False), _refuse_words_for("a number")]
AboveZero = Annotated[float, Field(gt=0, allow_inf_nan=False), _refuse_words_for("a number")]
AtLeastZero = Annotated[float, Field(ge=0, allow_inf_nan=False), _refuse_words_for("a number")]
Share = Annotated[float, Field(ge=0, lt=1), _refuse_words_for("a number")]
