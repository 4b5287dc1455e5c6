"""Models and steps of every kind that the recorder must see through: one `Case` each."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
import torchvision_kernels  # noqa: F401
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

SAMPLES = 6


class Residual(nn.Module):
    """A CNN with BatchNorm, Dropout, an in-place ReLU, an in-place sum and pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.first_norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.second_norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.3)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.relu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(hidden))
        y += hidden
        y = functional.max_pool2d(self.relu(y), 2)
        return self.head(self.drop(y).mean((2, 3)))


class Tied(nn.Module):
    """The embedding is the output layer's weight, and one layer runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.out = nn.Linear(6, 11, bias=False)
        self.out.weight = self.embed.weight
        self.middle = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.middle(self.middle(self.embed(x))))).flatten(0, 1)


class InPlace(nn.Module):
    """Views, chunks, item assignment, in-place ops on views and on their bases."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 6)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.linear(x).chunk(2, 1)
        first = first.clone()
        first += second
        first.mul_(2).sigmoid_()
        out = torch.zeros(x.shape[0], 4, dtype=x.dtype)
        out[:, :3] = first
        out[:, 3] = second.sum(1)
        out[0] *= 3
        column = out[:, 1]
        column.exp_()
        turned = out.T
        return out + turned.T * column[:, None]


class Checkpointed(nn.Module):
    def __init__(self, use_reentrant: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 8))
        self.head = nn.Linear(8, 3)
        self.use_reentrant = use_reentrant

    def forward(self, x: Tensor) -> Tensor:
        return self.head(checkpoint(self.body, x, use_reentrant=self.use_reentrant))


class NumpySquare(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.from_numpy(x.detach().numpy() ** 2)

    @staticmethod
    def backward(ctx: Any, adjoint: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0] * adjoint


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x.sigmoid()

    @staticmethod
    def backward(ctx: Any, adjoint: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        s = x.sigmoid()
        return adjoint * (s + x * s * (1 - s))


class Custom(nn.Module):
    def __init__(self, function: type[torch.autograd.Function]) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function.apply(self.linear(x)) * 2


class Branching(nn.Module):
    """Loops and branches on its own numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        rounds = 0
        while x.norm() < 50 and rounds < 5:
            x = self.linear(x) * 3
            rounds += 1
        if (x.mean() > 0).item():
            x = -x
        return self.out(x[x[:, 0] > -1e9])


class Compiled(nn.Module):
    def __init__(self, backend: str) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 8))
        self.compiled = torch.compile(self.body, backend=backend)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.compiled(x))


class CompiledFunction(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.function = torch.compile(lambda x: torch.tanh(x) * 2, backend="eager")

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.linear(x))


class Scripted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.inner(x))


class Recurrent(nn.Module):
    def __init__(self, kind: Any, **settings: Any) -> None:
        super().__init__()
        self.rnn = kind(3, 4, num_layers=2, batch_first=True, **settings)
        self.out = nn.Linear(8 if settings.get("bidirectional") else 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.rnn(x)[0][:, -1])


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5, 5, 4, 3, 2, 1]), batch_first=True)
        out, _ = nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0], batch_first=True)
        return self.out(out[:, 0])


class Cells(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(3, 4)
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
        return self.out(state[0])


class Detached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x)
        return self.second(hidden.detach()) + hidden[:, :3] * hidden[:, :3]


class Indexing(nn.Module):
    """topk, gather, scatter, einsum, where, cat, stack."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 6)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.linear(x)
        values, places = hidden.topk(3, 1)
        taken = hidden.gather(1, places)
        put = torch.zeros_like(hidden).scatter_add(1, places, taken)
        outer = torch.einsum("bi,bj->bij", values, taken).flatten(1)[:, :6]
        return torch.cat([torch.where(hidden > 0, put, outer), torch.stack([values, taken]).sum(0)], 1)


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.linear(torch.tanh(self.linear(x)))))


class LossInside(nn.Module):
    """Returns its loss, and has a regulariser on its activations in it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 5), nn.SiLU(), nn.Linear(5, 3))

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.body(x)
        return {"loss": functional.cross_entropy(logits, labels) + 0.01 * logits.pow(2).mean(), "logits": logits}


class Spectrum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.irfft(torch.fft.rfft(self.linear(x)) * (1 + 0.5j), n=3)


class Sampled(nn.Module):
    """Draws its output by reparametrisation."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.distributions.Normal(self.linear(x), torch.ones(3, dtype=x.dtype)).rsample()


@dataclass(frozen=True)
class Case:
    """A model and a step: how to build the one, and what the other is given."""

    build: Callable[[], nn.Module]
    inputs: Any
    targets: Any = None
    loss: Callable[..., Tensor] | None = functional.cross_entropy
    context: Callable[[], Any] = nullcontext
    dtype: torch.dtype | None = torch.float64
    settings: dict[str, Any] = field(default_factory=dict)

    def make(self) -> nn.Module:
        torch.manual_seed(1)
        model = self.build().train()
        return model if self.dtype is None else model.to(self.dtype)


def _bfloat16() -> Any:
    return torch.autocast("cpu", dtype=torch.bfloat16)


def _timm_vit() -> nn.Module:
    import timm

    settings = {"img_size": 32, "patch_size": 16, "depth": 2, "embed_dim": 24, "num_heads": 3, "num_classes": 3}
    return timm.create_model("vit_tiny_patch16_224", drop_rate=0.1, **settings)


def _timm_resnet() -> nn.Module:
    import timm

    return timm.create_model("resnet10t", num_classes=3, drop_rate=0.1)


def _gpt2(attention: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import transformers

        sizes = {"vocab_size": 31, "n_embd": 12, "n_layer": 2, "n_head": 2, "n_positions": 16}
        return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, attn_implementation=attention))

    return build


def _llama() -> nn.Module:
    import transformers

    sizes = {"vocab_size": 31, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 16}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **heads))


def _hugging_face_vit() -> nn.Module:
    import transformers

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    return transformers.ViTForImageClassification(transformers.ViTConfig(**sizes, image_size=16, patch_size=8))


def _cases() -> dict[str, Case]:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    rows, sequences, images = normal(SAMPLES, 4), normal(SAMPLES, 5, 3), normal(4, 3, 8, 8)
    classes = torch.randint(0, 3, (SAMPLES,), generator=generator)
    words = torch.randint(0, 31, (2, 7), generator=generator)
    few = words % 11
    text = {"input_ids": words, "labels": words}
    encoder = nn.TransformerEncoderLayer
    normed = nn.utils.parametrizations.weight_norm
    spectral = nn.utils.parametrizations.spectral_norm
    return {
        "mlp": Case(lambda: nn.Sequential(nn.Linear(4, 5), nn.Sigmoid(), nn.Linear(5, 3)), rows, classes),
        "cnn, batch norm, dropout, residual, in-place": Case(Residual, images, torch.tensor([0, 1, 4, 2])),
        "TransformerEncoderLayer": Case(
            lambda: nn.Sequential(encoder(8, 2, 16, batch_first=True), nn.Flatten(), nn.Linear(40, 3)),
            normal(SAMPLES, 5, 8),
            classes,
        ),
        "timm ViT": Case(_timm_vit, normal(3, 3, 32, 32), classes[:3]),
        "timm ResNet": Case(_timm_resnet, normal(2, 3, 32, 32), classes[:2]),
        "Hugging Face ViT": Case(
            _hugging_face_vit, {"pixel_values": normal(2, 3, 16, 16), "labels": torch.tensor([0, 1])}, loss=None
        ),
        "GPT-2, fused attention": Case(_gpt2("sdpa"), {**text, "use_cache": False}, loss=None),
        "GPT-2, eager attention": Case(_gpt2("eager"), text, loss=None),
        "Llama": Case(_llama, text, loss=None),
        "LSTM": Case(lambda: Recurrent(nn.LSTM), sequences, classes),
        "LSTM in float32": Case(lambda: Recurrent(nn.LSTM), sequences.float(), classes, dtype=None),
        "GRU with dropout": Case(lambda: Recurrent(nn.GRU, dropout=0.2), sequences, classes),
        "bidirectional RNN": Case(lambda: Recurrent(nn.RNN, bidirectional=True), sequences, classes),
        "packed sequences": Case(Packed, sequences, classes),
        "LSTMCell in a loop": Case(Cells, sequences, classes),
        "in-place, views, item assignment": Case(InPlace, rows, normal(SAMPLES, 4), functional.mse_loss),
        "gather, scatter, einsum, where": Case(Indexing, rows, normal(SAMPLES, 9), functional.mse_loss),
        "weight tying and a shared module": Case(Tied, few, few.flatten()),
        "checkpoint": Case(lambda: Checkpointed(False), rows, classes),
        "checkpoint, reentrant": Case(lambda: Checkpointed(True), rows.clone().requires_grad_(), classes),
        "custom Function in numpy": Case(lambda: Custom(NumpySquare), rows, classes),
        "custom Function in torch": Case(lambda: Custom(Swish), rows, classes),
        "control flow on data": Case(Branching, rows, classes),
        "detach, and a value used twice": Case(Detached, rows, classes),
        "torch.jit.script": Case(Scripted, rows, classes),
        "torch.compile": Case(lambda: Compiled("aot_eager"), rows, classes),
        "torch.compile of a function": Case(CompiledFunction, rows, classes),
        "autocast": Case(
            lambda: nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.LayerNorm(5), nn.Linear(5, 3)),
            rows.float(),
            classes,
            context=_bfloat16,
            dtype=None,
        ),
        "autocast, shared module": Case(Shared, rows.float(), classes, context=_bfloat16, dtype=None),
        "loss inside, with a penalty": Case(LossInside, {"x": rows, "labels": classes}, loss=None),
        "complex numbers": Case(Spectrum, rows, classes),
        "random sample": Case(Sampled, rows, classes),
        "weight_norm": Case(lambda: nn.Sequential(normed(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, 3)), rows, classes),
        "spectral_norm": Case(lambda: nn.Sequential(spectral(nn.Linear(4, 5)), nn.Linear(5, 3)), rows, classes),
        "sparse embedding": Case(
            lambda: nn.Sequential(nn.Embedding(9, 4, sparse=True), nn.Flatten(), nn.Linear(8, 3)),
            torch.arange(SAMPLES).view(3, 2),
            classes[:3],
        ),
        "frozen layer": Case(
            lambda: nn.Sequential(nn.Linear(4, 5).requires_grad_(False), nn.Tanh(), nn.Linear(5, 3)), rows, classes
        ),
        "MultiheadAttention on one tensor": Case(
            lambda: _Attention(), normal(2, 5, 8), normal(2, 5, 8), functional.mse_loss
        ),
    }


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        out, weights = self.attention(x, x, x)
        return out + weights.pow(2).sum()


CASES = _cases()
