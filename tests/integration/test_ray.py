"""joblib's backend ray, on a Ray of this machine's own; CI installs it."""

import pytest
from churn.data import synthetic
from churn.settings import core
from churn.settings.dataset import Dataset
from churn.settings.train import Search, TrainConfig
from churn.training import hyperparameter_search
from conftest import ROOT


def test_a_local_ray_finds_what_threads_find(telco: Dataset) -> None:
    ray = pytest.importorskip("ray", reason="the extra is not installed: make install EXTRA=ray")
    train = synthetic.generate(telco, 600, seed=3)
    family = core.load(TrainConfig, ROOT / "tests" / "quick_train.toml").model[0]
    here = hyperparameter_search.tune(family, Search(folds=3, backend="threading"), telco, train)
    try:
        there = hyperparameter_search.tune(family, Search(folds=3, backend="ray"), telco, train, jobs=2)
        assert ray.is_initialized()
        assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.2"}, "nobody else can reach it"
    finally:
        ray.shutdown()
    assert there.trials == here.trials
