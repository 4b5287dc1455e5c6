"""Ops that have no formula, each with the reason: no derivative, made without inputs, or made of smaller ops."""

from chainrule.ops.rule import OpRule

_PLACE = "gives places and not values, so it has no derivative"
_CHOICE = "gives true or false, so it has no derivative"
_WHOLE = "gives whole numbers, so it has no derivative"
_FRESH = "does not depend on the values of its input, so nothing flows back"
_CONSTANT = "is made without inputs: a constant, to which nothing flows back"
_DRAWN = "is drawn at random: a constant, to which nothing flows back"

# Names of ops by the reason why no gradient comes through.
_WITHOUT_DERIVATIVE = {
    _PLACE: "argmax argmin argsort nonzero searchsorted bucketize tril_indices triu_indices",
    _CHOICE: "eq ne lt le gt ge isnan isinf isposinf isneginf isfinite isreal isin isclose allclose equal any all "
    "logical_and logical_or logical_not logical_xor signbit "
    "greater greater_equal less less_equal not_equal",
    _WHOLE: "long int short char byte bool one_hot bincount count_nonzero floor_divide unique unique_consecutive histc "
    "and or xor invert lshift rshift iand ior ixor bitwise_and bitwise_or bitwise_xor bitwise_not "
    "bitwise_left_shift bitwise_right_shift",
    _FRESH: "zeros_like ones_like full_like rand_like randn_like randint_like empty_like new_zeros new_ones new_full "
    "new_empty new_tensor zero_",
    _CONSTANT: "arange zeros ones full empty eye linspace logspace tensor as_tensor scalar_tensor hann_window "
    "hamming_window",
    _DRAWN: "rand randn randint randperm multinomial bernoulli normal normal_ uniform_ random_ exponential_ bernoulli_ "
    "log_normal_ cauchy_ geometric_",
}

OPENED = "It is made of smaller ops; opened, each of them has its formula."
_COMPLEX = "Its numbers are complex, and formulas here are those of real numbers."
_NOTES = {
    OPENED: "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell multi_head_attention_forward "
    "linear_cross_entropy gumbel_softmax",
    _COMPLEX: "fft_fft fft_ifft fft_rfft fft_irfft fft_fft2 fft_ifft2 fft_rfft2 fft_irfft2 fft_fftn fft_ifftn "
    "fft_rfftn fft_irfftn stft istft view_as_real view_as_complex",
    "It sums over all ways to align the target with the input, which no short formula says.": "ctc_loss",
    "It is computed by steps that depend on each other, which no short formula says.": "linalg_svd svd linalg_qr qr "
    "linalg_eigh linalg_eig linalg_inv inverse linalg_solve linalg_cholesky linalg_det det linalg_slogdet slogdet "
    "linalg_svdvals linalg_pinv linalg_lstsq matrix_exp linalg_matrix_exp",
}


WITHOUT_FORMULA: tuple[OpRule, ...] = (
    *(
        OpRule(name, None, cuts=f"{name} {reason}.")
        for reason, names in _WITHOUT_DERIVATIVE.items()
        for name in names.split()
    ),
    *(OpRule(name, None, note=note) for note, names in _NOTES.items() for name in names.split()),
)
