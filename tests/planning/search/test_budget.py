import pytest

from mesh.planning.search.budget import STEPS_PER_S, Budget, OutOfBudgetError


def test_a_budget_is_spent_in_steps() -> None:
    budget = Budget(2.0)
    budget.spend(STEPS_PER_S)
    assert budget.left == STEPS_PER_S
    budget.spend(STEPS_PER_S)
    assert budget.left == 0


def test_work_that_is_not_covered_is_refused_and_costs_nothing() -> None:
    budget = Budget(1.0)
    with pytest.raises(OutOfBudgetError):
        budget.spend(STEPS_PER_S + 1)
    assert budget.left == STEPS_PER_S


def test_a_part_of_the_work_may_only_take_its_share() -> None:
    budget = Budget(1.0)
    with budget.at_most(0.25):
        budget.spend(STEPS_PER_S / 4)
        with pytest.raises(OutOfBudgetError):
            budget.spend(1)
    assert budget.left == STEPS_PER_S * 3 / 4


def test_what_a_part_leaves_is_left_to_all_even_after_an_error() -> None:
    budget = Budget(1.0)
    with pytest.raises(OutOfBudgetError), budget.at_most(0.5):
        budget.spend(STEPS_PER_S)
    assert budget.left == STEPS_PER_S
