"""A trace made by hand, every field of it filled: y = w·x, loss = (y − t)², one step of SGD with momentum."""

import torch

from chainrule.trace import (
    Decision,
    Held,
    LeftOut,
    Missing,
    ModuleNote,
    Op,
    Recipe,
    Source,
    Statistics,
    Trace,
    Update,
    Use,
    Value,
    ValueRef,
)


def product_trace() -> Trace:
    """w = 2, x = 3, t = 5: y = 6, loss = 1; ∂loss/∂y = 2, ∂loss/∂w = 6, ∂loss/∂x = 4; w becomes 2 − 0.1·6 = 1.4."""
    here = Source("/home/someone/model.py", 12, "forward", "return self.w * x")
    weight, data = torch.tensor([2.0]), torch.tensor([3.0])
    target, product = torch.tensor([5.0]), torch.tensor([6.0])
    difference, loss = torch.tensor([1.0]), torch.tensor(1.0)
    weight_gradient, product_adjoint = torch.tensor([6.0]), torch.tensor([2.0])
    difference_adjoint = torch.tensor([2.0])

    def held(tensor: torch.Tensor) -> Held:
        return Held(tensor, tensor._version)

    w_use = Use(0, 0, (0,), [held(weight_gradient)])
    x_use = Use(1, 0, (1,), [])
    y_use = Use(3, 1, (0,), [held(product_adjoint)])
    t_use = Use(2, 1, ("other",), [Missing("the target needs no gradient")])
    d_use = Use(4, 2, (0, 1), [torch.tensor([0.5]), torch.tensor([1.5])])
    d_hidden = Use(4, 2, ("hidden",), [Statistics(1, 2.0, 0.0, 2.0, 2.0, 0.0)])

    def value(number: int, kind: str, name: str, tensor: torch.Tensor, **more: object) -> Value:
        more = {"producer": None, "output": 0, "requires_grad": False, "kept": held(tensor)} | more
        return Value(number, kind, name, tuple(tensor.shape), "float32", "cpu", **more)

    values = [
        value(0, "parameter", "w", weight, requires_grad=True, kept_adjoint=held(weight_gradient), uses=[w_use]),
        value(1, "input", "input", data, uses=[x_use]),
        value(2, "target", "target", target, uses=[t_use]),
        value(3, "computed", "mul", product, producer=0, requires_grad=True, kept_adjoint=held(product_adjoint)),
        value(4, "computed", "sub", difference, producer=1, requires_grad=True, kept_adjoint=held(difference_adjoint)),
        value(5, "computed", "square", loss, producer=2, requires_grad=True, kept_adjoint=torch.tensor(1.0)),
        value(6, "hidden", "cast", weight, producer=2, output=1, kept=Statistics(1, 2.0, 0.0, 2.0, 2.0, 0.0, 0.5, 0)),
        value(7, "constant", "", data, kept=Missing("it was overwritten"), kept_adjoint=Missing("a hook failed")),
        value(8, "buffer", "count", data, kept=Statistics(3, *[float("nan")] * 4, 0.0, None, 3)),
    ]
    values[3].uses = [y_use]
    values[4].uses = [d_use, d_hidden]

    def op(number: int, name: str, phase: str, **more: object) -> Op:
        more = {"module": "", "module_class": "Product", "call": 0, "source": here} | more
        return Op(number, name, phase, **more)

    ops = [
        op(0, "mul", "forward", function="torch.Tensor.mul", arguments=(ValueRef(0), ValueRef(1)),
           inputs=[w_use, x_use], outputs=[3], nodes=("MulBackward0",), run=torch.mul),
        op(1, "sub", "loss", function="torch.sub", arguments=(ValueRef(3),), inputs=[y_use, t_use], outputs=[4],
           keywords={"other": ValueRef(2), "alpha": 1}, source=None, module="loss_fn", module_class="", call=2),
        op(2, "stack", "loss", function="torch.stack", inputs=[d_use, d_hidden], outputs=[5, 6], overwrites=(7,),
           arguments=([1.5, ValueRef(4)], (slice(None, 3), ..., None), torch.float32, torch.device("cpu")),
           keywords={"size": torch.Size([2, 3]), "limit": float("-inf"), "z": 1 + 2j, "by": {"a": (1,), 2: [True]}},
           gradients_on=False, autocast="bfloat16", random_state=torch.arange(5, dtype=torch.uint8),
           opaque="It was compiled.", recomputed=True),
        op(3, "mul backward", "backward", of=0, nodes=("MulBackward0",)),
        op(4, "SGD", "update", module_class="", source=None),
    ]  # fmt: skip
    update = Update(
        "w", 0, 4, "SGD",
        {"lr": 0.1, "momentum": 0.9, "nesterov": False, "foreach": None},
        held(weight), torch.tensor([1.4]), held(weight_gradient),
        {}, {"momentum_buffer": held(weight_gradient)},
    )  # fmt: skip
    idle = Update("idle", 8, 4, "SGD", {}, Missing("no reason"), Missing("no reason"), None)
    return Trace(
        ops=ops,
        values=values,
        updates=[update, idle],
        loss=5,
        modules={"": ModuleNote("Product", True, (3,)), "loss_fn": ModuleNote("Square", False)},
        keep="values",
        decisions=[Decision("item", 4, 1.0, here), Decision("bool", 3, True, None), Decision("numpy", 3, None, here)],
        notes=["torch.compile was set aside."],
        about={"torch": "2.13.0", "seconds": 0.5, "steps": 1},
        left_out=LeftOut(2, 1_000_000),
        recipe=Recipe(None, lambda model: model, {}, {}),
    )


def plain_trace(*tensors: torch.Tensor) -> Trace:
    """A trace of nothing but values."""
    values = [
        Value(
            number,
            "constant",
            f"v{number}",
            tuple(tensor.shape),
            str(tensor.dtype).removeprefix("torch."),
            str(tensor.device),
            None,
            0,
            False,
            Held(tensor, tensor._version),
        )
        for number, tensor in enumerate(tensors)
    ]
    return Trace([], values, [], None, {}, "values")
