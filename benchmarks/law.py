"""The law of a recording on every kind of model: values checked, values exact, the worst difference.

The models are those of the tests; what is printed is what tests/recorder/test_law.py asserts.

    pip install ".[test]"
    python benchmarks/law.py
"""

import sys
import warnings
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parent.parent / "tests" / "recorder"))

from recorder_models import CASES
from summing import check_sums
from transformers.utils import logging

from chainrule.recorder import record


def main() -> None:
    """Print one line for each model, and the sum of all."""
    warnings.filterwarnings("ignore")
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    checked = exact = 0
    worst = 0.0
    for name, case in CASES.items():
        model = case.make()
        torch.manual_seed(7)
        with case.context():
            sums = check_sums(record(model, case.loss, case.inputs, case.targets))
        print(
            f"{name:48s} {sums.exact:4d} of {sums.checked:4d} exact, worst {sums.worst_ulps:.1f} ulp of the largest "
            f"term, {sums.worst_relative:.1e} relative{', WRONG: ' if sums.wrong else ''}{', '.join(sums.wrong)}"
        )
        checked, exact, worst = checked + sums.checked, exact + sums.exact, max(worst, sums.worst_relative)
    print(f"{len(CASES)} models: {exact} of {checked} values exact, worst relative difference {worst:.1e}")


if __name__ == "__main__":
    main()
