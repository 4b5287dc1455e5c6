import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from chainrule.render.graph_layers import isotonic

numbers = st.floats(-100, 100)


@settings(derandomize=True, max_examples=200)
@given(st.lists(st.tuples(numbers, st.floats(0.1, 10)), min_size=1, max_size=12))
def test_isotonic_regression_is_that_of_scikit_learn(points: list[tuple[float, float]]) -> None:
    wishes, weights = [wish for wish, _ in points], [weight for _, weight in points]
    expected = IsotonicRegression().fit_transform(np.arange(len(points)), wishes, sample_weight=weights)
    np.testing.assert_allclose(isotonic(wishes, weights), expected, atol=1e-8)
