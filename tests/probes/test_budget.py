import pytest

from chainrule.probes import Budget, BudgetError
from chainrule.probes.budget import FORWARD, GRADIENT, HESSIAN_PRODUCT


def test_what_is_spent_is_counted_by_purpose_and_never_more_than_allowed():
    budget = Budget(200, 0.1)
    assert (budget.planned, budget.allowed, budget.left) == (200, 20, 20)
    budget.spend(12 * GRADIENT, "range test")
    budget.spend(3 * FORWARD, "judging")
    budget.spend(HESSIAN_PRODUCT, "stability limit")
    assert budget.by_purpose == {"range test": 12, "judging": 1, "stability limit": 2}
    assert (budget.spent, budget.left) == (15, 5)
    assert budget.allows(5.0)
    assert not budget.allows(5.01)
    with pytest.raises(BudgetError) as caught:
        budget.spend(6.0, "short runs")
    assert str(caught.value) == (
        "The probe has spent its share of the training.\n"
        "  where:    short runs\n"
        "  found:    15 gradient evaluations spent, 6 more wanted\n"
        "  expected: at most 20, 10% of the 200 of the planned training\n"
        "Plan a longer training, or allow a larger share."
    )
    assert budget.spent == 15


def test_thirds_that_add_up_to_the_whole_are_allowed():
    budget = Budget(10, 0.1)
    for _ in range(3):
        budget.spend(FORWARD, "judging")
    assert not budget.allows(FORWARD)


@pytest.mark.parametrize(("updates", "share"), [(0, 0.1), (10, 0.0), (10, 1.5), (-3, 0.1)])
def test_a_budget_of_nothing_is_refused(updates, share):
    with pytest.raises(BudgetError) as caught:
        Budget(updates, share)
    assert str(caught.value) == (
        "A probe needs to know what it may cost.\n"
        f"  found:    updates = {updates}, share = {share:g}\n"
        "  expected: at least one update, and a share above 0 and at most 1"
    )
