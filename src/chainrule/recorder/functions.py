"""What a function of torch is to the recorder: its name, and whether it computes, overwrites, decides or is skipped."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

Function = Callable[..., Any]


class Role(Enum):
    """What a call of the function means for the recording."""

    OP = "an operation"
    SKIP = "no operation: it asks for a shape, a flag or a name"
    DECISION = "takes a number out of torch"
    BACKWARD = "computes gradients into .grad"
    GRADIENTS = "computes gradients of its own (torch.autograd.grad), which are not the step's"


# Tensors come out of these, or versions change, and yet nothing is computed.
_SKIPPED = frozenset(
    {
        "requires_grad_",
        "retain_grad",
        "register_hook",
        "register_post_accumulate_grad_hook",
        "size",
        "dim",
        "stride",
        "numel",
        "ndimension",
        "is_floating_point",
        "is_complex",
        "is_contiguous",
        "element_size",
        "nelement",
        "__len__",
        "__hash__",
        "__repr__",
        "__format__",
        "__str__",
        "storage_offset",
        "untyped_storage",
        "storage",
        "data_ptr",
        "get_device",
        "is_same_size",
        "is_pinned",
        "is_shared",
        "is_inference",
        "is_signed",
        "is_set_to",
        "has_names",
        "_is_view",
        "_make_subclass",
        "_has_compatible_shallow_copy_type",
        "__reduce_ex__",
        "__dir__",
        "_record_function_enter_new",
        "_record_function_exit",
        "_set_grad_enabled",
        "grad",
    }
)
_SHOWN_PROPERTIES = frozenset(("T", "mT", "H", "mH", "data", "real", "imag"))
_DECISIONS = frozenset(
    {
        "item",
        "__bool__",
        "__float__",
        "__int__",
        "__index__",
        "__complex__",
        "__contains__",
        "tolist",
        "numpy",
        "__array__",
        "__dlpack__",
        "equal",
        "allclose",
        "is_nonzero",
    }
)
_IN_PLACE_OPERATORS = frozenset(
    {
        "__setitem__",
        "__iadd__",
        "__isub__",
        "__imul__",
        "__itruediv__",
        "__ifloordiv__",
        "__imod__",
        "__ipow__",
        "__iand__",
        "__ior__",
        "__ixor__",
        "__ilshift__",
        "__irshift__",
        "__imatmul__",
    }
)
_RUNNING_STATISTICS = {"batch_norm": (1, 2), "instance_norm": (1, 2)}  # in torch.nn.functional
_LOW_LEVEL_RUNNING_STATISTICS = {"batch_norm": (3, 4), "instance_norm": (3, 4)}  # in torch
_MAX_NORM = {"embedding": 3, "embedding_bag": 3}  # where max_norm stands in torch.nn.functional
_HOMES = ((torch.nn.functional, "torch.nn.functional"), (torch, "torch"), (Tensor, "torch.Tensor"))


@dataclass(frozen=True, slots=True)
class FunctionFacts:
    """What is known of a function of torch.

    Attributes:
        name: as a reader says it: "linear", "add", "getitem", "relu_", "T".
        full_name: where it lives: "torch.nn.functional.linear"; "" when it is found nowhere.
        role: what a call means.
        overwrites_first: whether it always writes over its first argument.
        inplace_position: where the argument `inplace` stands; None when it has none.
        overwritten: positions of arguments that it may write over (running statistics).
        sets_data: whether it puts other memory under a tensor (`x.data = ...`).
    """

    name: str
    full_name: str
    role: Role
    overwrites_first: bool
    inplace_position: int | None
    overwritten: tuple[int, ...]
    sets_data: bool

    def written_over(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the arguments that a call writes over, as far as can be known before it."""
        targets: tuple[Any, ...] = ()
        if self.overwrites_first or self._is_in_place(args, kwargs):
            targets = args[:1] or tuple(kwargs[name] for name in ("input", "self", "tensor") if name in kwargs)
        if self.overwritten:
            targets += tuple(args[at] for at in self.overwritten if at < len(args))
            targets += tuple(kwargs[name] for name in ("running_mean", "running_var") if name in kwargs)
        if self.sets_data:  # the old memory stays as it is, but torch counts it as a write to the tensor
            targets += args[:1]
        if "out" in kwargs:
            targets += (kwargs["out"],)
        if self.name in ("embedding", "embedding_bag"):  # max_norm: it shortens rows of the weight in place
            limit = args[_MAX_NORM[self.name]] if len(args) > _MAX_NORM[self.name] else kwargs.get("max_norm")
            if limit is not None:
                targets += (args[1] if len(args) > 1 else kwargs.get("weight"),)
        return targets

    def _is_in_place(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        at = self.inplace_position
        return at is not None and bool(kwargs.get("inplace", args[at] if at < len(args) else False))


_KNOWN: dict[Function, FunctionFacts] = {}


def facts_of(function: Function) -> FunctionFacts:
    """Return what is known of a function; it is looked at once."""
    facts = _KNOWN.get(function)
    if facts is None:
        facts = _KNOWN[function] = _look_at(function)
    return facts


def _look_at(function: Function) -> FunctionFacts:
    if isinstance(function, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
        return _look_at_operator(function)
    own = str(getattr(function, "__name__", type(function).__name__))
    owner = getattr(function, "__self__", None)
    accessor = own in ("__get__", "__set__", "__delete__")
    raw = str(getattr(owner, "__name__", "")) if accessor else own
    overwrites = raw in _IN_PLACE_OPERATORS or (raw.endswith("_") and not raw.endswith("__"))
    inplace = None
    if isinstance(function, FunctionType):
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        inplace = names.index("inplace") if "inplace" in names else None
        statistics = _RUNNING_STATISTICS
    else:
        statistics = _LOW_LEVEL_RUNNING_STATISTICS
    return FunctionFacts(
        name=_short_name(raw, own, overwrites),
        full_name=_full_name(function, own, raw, accessor),
        role=_role(function, raw, accessor),
        overwrites_first=overwrites,
        inplace_position=inplace,
        overwritten=statistics.get(raw, ()),
        sets_data=own == "__set__" and raw == "data",
    )


def _look_at_operator(function: Any) -> FunctionFacts:
    """Look at an operator that was called by its name, `torch.ops.namespace.name`: its schema says what it writes."""
    if isinstance(function, torch._ops.OpOverload):
        schemas, name = [function._schema], function._schema.name
    else:
        schemas, name = [getattr(function, each)._schema for each in function.overloads()], function._qualified_op_name
    namespace, _, raw = name.partition("::")
    written = {
        at
        for schema in schemas
        for at, argument in enumerate(schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write and not argument.kwarg_only
    }
    return FunctionFacts(
        name=_short_name(raw, raw, raw.endswith("_")),
        full_name=f"torch.ops.{namespace}.{raw}",
        role=_role(function, raw, accessor=False),
        overwrites_first=False,
        inplace_position=None,
        overwritten=tuple(sorted(written)),
        sets_data=False,
    )


def _short_name(raw: str, own: str, overwrites: bool) -> str:
    if own == "__set__":
        return f"{raw} ="
    return raw.strip("_") + ("_" if overwrites and not raw.endswith("__") else "")


def _role(function: Function, raw: str, accessor: bool) -> Role:
    if function is Tensor.backward or function is torch.autograd.backward:
        return Role.BACKWARD
    if function is torch.autograd.grad:
        return Role.GRADIENTS
    if accessor:
        return Role.OP if raw in _SHOWN_PROPERTIES else Role.SKIP
    if raw in _SKIPPED:
        return Role.SKIP
    return Role.DECISION if raw in _DECISIONS else Role.OP


def _full_name(function: Function, own: str, raw: str, accessor: bool) -> str:
    if accessor:
        return f"torch.Tensor.{raw}.{own}"
    for home, name in _HOMES:
        if getattr(home, own, None) is function:
            return f"{name}.{own}"
    operator = f"__{own}__"  # x ** y is a function that torch calls "pow", and that is not Tensor.pow
    return f"torch.Tensor.{operator}" if getattr(Tensor, operator, None) is function else ""
