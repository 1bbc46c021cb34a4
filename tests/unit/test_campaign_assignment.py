"""Assignment to the arms: the same under retry, in any order, exact in size, balanced on every column."""

import numpy as np
from churn.campaigns import assignment, synthetic


def held(ids, risk, salt="s"):
    return assignment.held_back("spring", salt, ids, risk, 0.1)


def test_order_of_rows_and_retries_change_nothing():
    truth = synthetic.population(5000, 1)
    ids, order = truth.table.customer_id.to_numpy(), np.random.default_rng(2).permutation(5000)
    first = held(ids.tolist(), truth.alone)
    assert (held(ids[order].tolist(), truth.alone[order]) == first[order]).all()
    assert (held(ids.tolist(), truth.alone, "another") != first).any()


def test_the_share_is_exact_and_every_column_balanced():
    truth = synthetic.population(100_000, 3)
    back = held(truth.table.customer_id.tolist(), truth.alone)
    assert back.sum() == 10_000
    gaps = assignment.balance(truth.table.drop(columns="customer_id").assign(risk=truth.alone), back)
    assert max(gaps.values()) < 0.03


def test_customers_of_equal_risk_are_drawn_alike_at_the_edge_of_a_stratum():
    """Every customer is held back with the same chance, whatever the risk; ties broken by the arm's own draw gave 0 and 0.2."""
    ids = [f"C{row}" for row in range(2000)]
    risk = np.repeat([0.1, 0.2, 0.3], [700, 700, 600])
    share = np.mean([held(ids, risk, str(salt)) for salt in range(300)], axis=0)
    assert abs(share - 0.1).max() < 0.08
