"""Models and steps that nobody expects: one `Case` each, with what the law may leave out."""

import dataclasses
from collections import namedtuple
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import torch
from recorder_models import Case
from torch import Tensor, nn
from torch.nn import functional

ROWS = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))


def total(output: Any) -> Tensor:
    return output.float().pow(2).sum()


class Around(nn.Module):
    """A linear layer, and a function of the module and its input around it."""

    def __init__(self, function: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


class Pair(torch.autograd.Function):
    """Several outputs, arguments and outputs that are no tensors."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: int, name: str, weight: Tensor) -> tuple[Tensor, Tensor, str]:
        ctx.factor = factor
        return x * factor, weight + 1, name

    @staticmethod
    def backward(ctx: Any, first: Tensor, second: Tensor, _name: None) -> tuple[Tensor, None, None, Tensor]:
        return first * ctx.factor, None, None, second


class Odd(torch.autograd.Function):
    """Its ctx has attributes with the names that autograd's nodes use."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.name, ctx.variable = "mine", 3
        return x * 2

    @staticmethod
    def backward(ctx: Any, adjoint: Tensor) -> Tensor:
        return adjoint * 2


class Outer(torch.autograd.Function):
    """Calls another Function."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return Odd.apply(x)

    @staticmethod
    def backward(ctx: Any, adjoint: Tensor) -> Tensor:
        return adjoint * 2


class Doubled(torch.autograd.Function):
    """Writes over its argument."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x.mul_(2)
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx: Any, adjoint: Tensor) -> Tensor:
        return adjoint * 2


class Split(torch.autograd.Function):
    """With setup_context, and a rule for vmap."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, factor: float) -> Tensor:
        return x * factor

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.factor = inputs[1]

    @staticmethod
    def backward(ctx: Any, adjoint: Tensor) -> tuple[Tensor, None]:
        return adjoint * ctx.factor, None


class Rounded(torch.autograd.Function):
    """Rounds, and lets the gradient through."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, adjoint: Tensor) -> Tensor:
        return adjoint


def _pair(self: Any, x: Tensor) -> Tensor:
    first, second, _ = Pair.apply(self.linear(x), 3, "name", self.linear.weight)
    return first.sum() * second


def _doubled(self: Any, x: Tensor) -> Tensor:
    hidden = self.linear(x)
    return Doubled.apply(hidden).tanh() + hidden


def _written_through_data(self: Any, x: Tensor) -> Tensor:
    hidden = self.linear(x)
    hidden.data.add_(1)
    return hidden.tanh()


def _other_data(self: Any, x: Tensor) -> Tensor:
    hidden = self.linear(x)
    self.linear.bias.data = self.linear.bias.data * 2
    return hidden.tanh() + self.linear(x)


def _leaf_written_between(self: Any, x: Tensor) -> Tensor:
    hidden = self.linear(x)
    with torch.no_grad():
        self.linear.bias.add_(1)
    return hidden + self.linear(x)


def _inference_part(self: Any, x: Tensor) -> Tensor:
    with torch.inference_mode():
        hidden = self.linear(x) * 2
        hidden.add_(1)
    return self.linear(x) + hidden.clone()


def _gradient_inside_no_gradient(self: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        without = self.linear(x) * 2
        with torch.enable_grad():
            hidden = self.linear(x)
    return hidden + without


def _saved_elsewhere(self: Any, x: Tensor) -> Tensor:
    with torch.autograd.graph.save_on_cpu():
        return self.linear(x).tanh().exp()


def _put(self: Any, x: Tensor) -> Tensor:
    out = torch.zeros(4, 4)
    out.index_put_((torch.tensor([0, 0, 1, 2]),), self.linear(x), accumulate=True)
    return out.masked_scatter(out > 0, self.linear(x))


def _other_thread(self: Any, x: Tensor) -> Tensor:
    found: list[Tensor] = []
    thread = Thread(target=lambda: found.append(self.linear(x).tanh()))
    thread.start()
    thread.join()
    return self.linear(x) + found[0]


def _generator(self: Any, x: Tensor) -> Tensor:
    def layers(hidden: Tensor) -> Iterator[Tensor]:
        for _ in range(3):
            hidden = self.linear(hidden)
            yield hidden

    return torch.stack(list(layers(x)))


def _recursion(self: Any, x: Tensor) -> Tensor:
    return self.linear(x) if x.shape[0] == 1 else self(x[1:]).sum(0) + self.linear(x)


@dataclasses.dataclass
class Answer:
    loss: Tensor
    hidden: Tensor


Named = namedtuple("Named", "loss hidden")


def _answer(self: Any, x: Tensor) -> Answer:
    hidden = self.linear(x)
    return Answer(hidden.sum(), hidden)


def _nested(self: Any, x: Tensor) -> dict[str, Any]:
    hidden = self.linear(x)
    return {"loss": hidden.sum(), "all": {"deep": Named(hidden.sum(), [hidden])}}


class Parameters(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.list = nn.ParameterList([nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))])
        self.by_name = nn.ParameterDict({"shift": nn.Parameter(torch.zeros(4))})

    def forward(self, x: Tensor) -> Tensor:
        return x * self.list[0] * self.list[1] + self.by_name["shift"]


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.wrapped = nn.Sequential(self.first, nn.ReLU())
        self.last = nn.Linear(4, 4)
        self.last.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.wrapped(self.first(x)))


class Symmetric(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.triu() + x.triu(1).T


def _parametrized() -> nn.Module:
    module = nn.Linear(4, 4)
    nn.utils.parametrize.register_parametrization(module, "weight", Symmetric())
    return module


class Cast(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.GELU()).to(dtype)
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x.to(self.dtype))


class Categorical(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        choice = torch.distributions.Categorical(logits=self.linear(x))
        return choice.entropy() - choice.log_prob(choice.sample())


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True, dropout=0.1)

    def forward(self, x: Tensor, mask: Tensor, padding: Tensor) -> Tensor:
        return self.attention(x, x, x, attn_mask=mask, key_padding_mask=padding)[0]


@torch.library.custom_op("chainrule_tests::square", mutates_args=())
def square(x: Tensor) -> Tensor:
    return x * x


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0])


square.register_autograd(lambda ctx, adjoint: 2 * adjoint * ctx.saved_tensors[0], setup_context=_setup)


def around(function: Callable[[Any, Tensor], Any], loss: Any = total, inputs: Any = ROWS) -> Case:
    return Case(lambda: Around(function), inputs, loss=loss, dtype=None)


def plain(build: Callable[[], nn.Module], inputs: Any = ROWS, loss: Any = total) -> Case:
    return Case(build, inputs, loss=loss, dtype=None)


_SEQUENCE = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1))
UNUSUAL: dict[str, Case] = {
    "Function of two outputs": around(_pair),
    "Function whose ctx has a name": around(lambda self, x: Odd.apply(self.linear(x))),
    "Function in a Function": around(lambda self, x: Outer.apply(self.linear(x))),
    "Function that writes over": around(_doubled),
    "Function with setup_context": around(lambda self, x: Split.apply(self.linear(x), 2.0)),
    "Function on the input": around(lambda self, x: self.linear(Rounded.apply(x))),
    "custom operator": around(lambda self, x: torch.ops.chainrule_tests.square(self.linear(x))),
    "operators by name": around(lambda self, x: torch.ops.aten.mul.Tensor(torch.ops.aten.tanh(self.linear(x)), 2)),
    "x.data.add_": around(_written_through_data),
    "x.data = y": around(_other_data),
    "a leaf written over between uses": around(_leaf_written_between),
    "inference mode inside": around(_inference_part),
    "gradients on inside of off": around(_gradient_inside_no_gradient),
    "save_on_cpu": around(_saved_elsewhere),
    "index_put, masked_scatter": around(_put),
    "requires_grad_ inside": around(lambda self, x: self.linear(x.clone().requires_grad_()) * x),
    "another thread": around(_other_thread),
    "a generator": around(_generator),
    "recursion": around(_recursion),
    "dataclass out": around(_answer, lambda answer: answer.loss),
    "nested out": around(_nested, None),
    "linear algebra": around(lambda self, x: torch.linalg.solve(self.linear(x) + 3 * torch.eye(4), x)),
    "complex": around(lambda self, x: torch.fft.fft2(self.linear(x)).abs()),
    "functional_call": around(
        lambda self, x: torch.func.functional_call(self.linear, {"weight": self.linear.weight * 2}, (x,))
    ),
    "parametrize": plain(_parametrized),
    "ParameterList, ParameterDict": plain(Parameters),
    "tied over wrappers": plain(Tied),
    "lazy": plain(lambda: nn.Sequential(nn.LazyLinear(3), nn.ReLU())),
    "float16": plain(lambda: Cast(torch.float16)),
    "bfloat16": plain(lambda: Cast(torch.bfloat16)),
    "no samples": plain(lambda: nn.Linear(4, 3), torch.zeros(0, 4)),
    "one sample": plain(lambda: nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3)), ROWS[:1]),
    "max_norm": plain(lambda: nn.Embedding(9, 4, max_norm=0.5), torch.tensor([1, 2, 2])),
    "EmbeddingBag": plain(
        lambda: nn.EmbeddingBag(9, 4, mode="sum", max_norm=0.5), (torch.tensor([1, 2, 4, 5]), torch.tensor([0, 2]))
    ),
    "Bilinear": plain(lambda: nn.Bilinear(4, 4, 2), (ROWS, ROWS * 2)),
    "attention with masks": plain(
        Masked, (_SEQUENCE, torch.ones(3, 3).triu(1).bool(), torch.tensor([[0, 0, 0], [0, 0, 1]]).bool())
    ),
    "decoder": plain(
        lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8, batch_first=True), 1),
        (_SEQUENCE, _SEQUENCE * 2),
    ),
    "Categorical": plain(Categorical, ROWS, lambda output: output.mean()),
    "CTC": around(
        lambda self, x: functional.ctc_loss(
            self.linear(x).log_softmax(-1)[:, None], torch.tensor([[1, 2]]), torch.tensor([4]), torch.tensor([2])
        ),
        None,
    ),
}
