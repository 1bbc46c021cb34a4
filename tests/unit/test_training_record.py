"""What a training says at its end: whose the champion is, and where the bounds stand that closed its gate."""

import pytest
from churn.registry import gate, training_record
from churn.registry.model_registry import Registered
from churn.settings.dataset import Dataset
from churn.training.evaluation import Slice

PASSED = gate.Gate((), None)


def _version(number: str) -> Registered:
    return Registered("m", number, "run", {})


def test_another_trainings_champion_is_not_reported_as_this_ones() -> None:
    own = training_record.ending(_version("3"), _version("3"), "tag", PASSED, "again")
    assert own.startswith("Champion: version 3 as tag; The gate is passed")
    other = training_record.ending(_version("4"), _version("3"), "tag", PASSED, "again")
    assert other.startswith("Champion: version 4 (of another training; this one made version 3) as tag; ")
    beaten = Registered("m", "3", "run", {"gate.promotion": "The gate is passed; champion version 4 stays."})
    none = training_record.ending(_version("4"), beaten, "tag", None, "make train VERSION=v FORCE=1")
    assert none == (
        "Champion: version 4 as tag; nothing to train: same data and config as version 3 (The gate is passed; champion "
        "version 4 stays); to train anyway: make train VERSION=v FORCE=1"
    )


@pytest.mark.parametrize(
    ("found", "way"),
    [
        ({"f1": 0.1, "ece": 0.0}, "change f1 in [gate] of config/datasets/telco.toml, and then: anew"),
        ({"f1": 0.9, "ece": 0.5}, "change ece in [gate] of own.toml, and then: again"),
    ],
)
def test_the_remedy_names_the_file_that_holds_the_bound(telco: Dataset, found: dict[str, float], way: str) -> None:
    closed = gate.Gate(gate.verdicts(found, {"f1": telco.gate["f1"], "ece": 0.1}), None)
    assert training_record.other_bounds(closed, telco, "own.toml", "again", "anew") == f"to accept such a model, {way}"


def test_a_bound_of_groups_is_not_the_data_sets_own(telco: Dataset) -> None:
    group = Slice("gender", "Male", 90, 30, {"f1": 0.1}, ())
    closed = gate.Gate(gate.slice_verdicts((group,), {"f1": 0.5}), None)
    assert "f1 in [slices.least] of own.toml" in training_record.other_bounds(
        closed, telco, "own.toml", "again", "anew"
    )
