"""Data that are drawn at random: inputs and targets without a relation, for maps of how training goes."""

import numpy as np

from chainrule.data.arrays import build_samples, check_arrays
from chainrule.data.samples import Samples
from chainrule.tasks.data_spec import DataSpec

GAUSSIAN = "gaussian"
USUAL_SAMPLES = 100
USUAL_FEATURES = 16


def draw_gaussian(spec: DataSpec, seed: int) -> Samples:
    """Draw inputs (samples, features) and one target for each sample from the standard normal distribution.

    The same spec and seed give the same numbers.
    """
    generator = np.random.default_rng([seed, 20240209])  # a stream of its own: the weights of this seed are others
    samples, features = spec.samples or USUAL_SAMPLES, spec.features or USUAL_FEATURES
    inputs = generator.standard_normal((samples, features))
    targets = generator.standard_normal((samples, 1))
    return build_samples(check_arrays(inputs, targets), "regression", GAUSSIAN)
