"""The ONNX form of the pipeline on data sets shaped unlike Telco: names, many levels, one category, none at all."""

from pathlib import Path

import onnx
import other_data
import pandas as pd
import pytest
from churn.data import casting, features, synthetic, tables
from churn.schema_inference import infer
from churn.settings.dataset import Dataset
from churn.settings.train import Family
from churn.training import estimators, onnx_export, onnx_scorer

FAMILIES = [
    Family(name="linear", estimator="sklearn.linear_model.LogisticRegression", impute=True, scale=True),
    Family(name="boosted", estimator="xgboost.XGBClassifier", fixed={"n_estimators": 20}),
]


def _described(frame: pd.DataFrame) -> tuple[Dataset, pd.DataFrame]:
    dataset = infer.describe(frame, "other", "other.csv").dataset
    return dataset, tables.from_bytes(tables.to_bytes(casting.cast(frame, dataset)[0]))


def _without(kind: str) -> pd.DataFrame:
    frame = other_data.narrow(400, seed=1)
    dataset = infer.describe(frame, "other", "other.csv").dataset
    return frame.drop(columns=[name for name, column in dataset.raw.items() if column.type == kind])


SHAPES = {
    "names with blanks": lambda: other_data.narrow(400, seed=1),
    "numbers only": lambda: _without("category"),
    "one category of many levels": lambda: other_data.wide(4500, seed=1)[["v000", "v001", "branch", "exited"]],
}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("shape", SHAPES)
def test_onnx_answers_as_scikit_learn(shape: str, family: Family, tmp_path: Path) -> None:
    dataset, table = _described(SHAPES[shape]())
    pipeline = estimators.build_pipeline(family, dataset, 0, {}).fit(
        features.frame(dataset, table), features.outcome(dataset, table)
    )
    manifest = {"dataset": dataset.model_dump(mode="json"), "threshold": 0.5}
    onnx_scorer.write(tmp_path, pipeline, manifest)
    assert (
        onnx_scorer.check_parity(onnx_scorer.Scorer(tmp_path), estimators.whole(pipeline, dataset), table, seed=0)
        < 1e-5
    )
    assert onnx_export.convert(pipeline, dataset) == (tmp_path / onnx_scorer.MODEL).read_bytes()


def test_rare_levels_share_a_column_and_unseen_ones_have_none() -> None:
    dataset, table = _described(SHAPES["one category of many levels"]())
    assert table.branch.nunique() == 2000
    encoder = (
        estimators.preparation(FAMILIES[0], dataset)
        .fit(features.frame(dataset, table))
        .named_transformers_["categorical"]
    )
    rare = table[table.branch == table.branch.value_counts().index[-1]].head(1)
    rows = pd.concat([table.head(1).assign(branch="never seen"), rare])
    found = encoder.transform(features.frame(dataset, rows)[["branch"]])
    assert found.shape == (2, dataset.most_levels)
    assert found[0].sum() == 0
    assert found[1].tolist() == [0] * (dataset.most_levels - 1) + [1]


def test_a_large_forest_in_parts_answers_as_the_whole(
    telco: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "PART_NODES", 500)
    table = synthetic.generate(telco, 1500, seed=3)
    forest = Family(
        name="forest", estimator="sklearn.ensemble.RandomForestClassifier", impute=True, fixed={"n_estimators": 30}
    )
    pipeline = estimators.build_pipeline(forest, telco, 0, {}).fit(
        features.frame(telco, table), features.outcome(telco, table)
    )
    onnx_scorer.write(tmp_path, pipeline, {"dataset": telco.model_dump(mode="json"), "threshold": 0.5})
    graph = onnx.load(tmp_path / onnx_scorer.MODEL).graph
    assert sum(node.op_type == "TreeEnsembleRegressor" for node in graph.node) == 30
    for threads in (1, 2):  # two: the rows are shared out
        scorer = onnx_scorer.Scorer(tmp_path, threads)
        assert onnx_scorer.check_parity(scorer, estimators.whole(pipeline, telco), table, seed=0) < 1e-5
