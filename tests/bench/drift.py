"""``make bench-drift``: what MonitorFlow's verdict is worth. Prints, never asserts.

False alarms on windows of the reference itself and of new customers of the same kind, power against small shifts, the
estimated ROC-AUC against the true one under drift and under concept drift, and 1,000,000 rows beside plain scipy.
``python -m tests.bench.drift [--telco FILE] [--windows 200] [--power 100] [--rows 1000000] [--seed 0]``
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "flows"))

from churn.data import features, synthetic, tables  # noqa: E402
from churn.monitoring import alerts, windows  # noqa: E402
from churn.monitoring.drift import Detector  # noqa: E402
from churn.monitoring.performance import Estimator  # noqa: E402
from churn.serving.reference_data import Reference  # noqa: E402
from churn.settings import core  # noqa: E402
from churn.settings.data import DataConfig  # noqa: E402
from churn.settings.dataset import Dataset  # noqa: E402
from churn.settings.monitor import MonitorConfig  # noqa: E402
from churn.settings.train import TrainConfig  # noqa: E402
from churn.training import estimators, metrics  # noqa: E402
from churn.validation import validation  # noqa: E402

TELCO = ROOT / "config" / "datasets" / "telco.toml"


CONFIG = core.load(MonitorConfig, ROOT / "config" / "monitor.toml")
THRESHOLD = 0.3


class Model:
    """A model family of config/train.toml with its default parameters, fitted on ``train``; ``reference`` is its holdout."""

    def __init__(self, family: str, dataset: Dataset, train: pd.DataFrame, holdout: pd.DataFrame) -> None:
        settings = core.load(TrainConfig, ROOT / "config" / "train.toml")
        chosen = next(one for one in settings.model if one.name == family)
        self._dataset = dataset
        self._fitted = estimators.build_pipeline(chosen, dataset, 0, {})
        self._fitted.fit(features.frame(dataset, train), features.outcome(dataset, train))
        self.reference = Reference(
            SimpleNamespace(name=family, version="1", tags={}), dataset, THRESHOLD, self.answer(holdout)
        )

    def answer(self, customers: pd.DataFrame) -> pd.DataFrame:
        """The customers as the prediction log has them, with their outcome."""
        probability = self._fitted.predict_proba(features.frame(self._dataset, customers))[:, 1]
        outcome = features.outcome(self._dataset, customers).astype(bool)
        raw = customers[list(self._dataset.raw)].reset_index(drop=True)
        return raw.assign(probability=probability, decision=probability >= THRESHOLD, outcome=outcome)


class Judge:
    """The verdict of MonitorFlow on a window by itself."""

    def __init__(self, reference: Reference) -> None:
        self._detector, self._estimator = Detector(reference, CONFIG.drift), Estimator(reference, CONFIG.performance)
        self._before = {metric: value for metric, (value, _) in self._estimator.realised_reference.items()}

    def __call__(self, window: pd.DataFrame, labelled: bool = False) -> tuple[alerts.WindowResult, alerts.Assessment]:
        measured = tuple(self._detector.distances(window)), tuple(self._estimator.estimate(window))
        result = alerts.WindowResult(windows.Window("", len(window)), *measured)
        known = self._estimator.realised(window) if labelled else None
        return result, alerts.assess([result], known, CONFIG, alerts.Context(self._before, file=True))


def false_alarms(judge: Judge, drawn: Iterator[pd.DataFrame], name: str) -> None:
    found = [judge(window)[1] for window in drawn]
    alarms = [assessment.summary for assessment in found if assessment.severity == "alert"]
    print(f"  {name:<52} {len(alarms):3} of {len(found)} windows alert ({len(alarms) / len(found):.1%})", flush=True)
    for summary in alarms[:3]:
        print(f"      {summary}")


def power(judge: Judge, drawn: Callable[[int], pd.DataFrame], dataset: Dataset, count: int) -> None:
    """Of ``count`` windows those that alert and name the shifted column, for each numeric column and each share that can grow."""
    for name, column in dataset.raw.items():
        sample = drawn(0)
        if column.numeric and sample[name].nunique() > 2:
            amount = 0.2 * sample[name].std()
            shifts = {"0.2 sd up": lambda t, n=name, a=amount: t[n] + a}
        elif not column.numeric and name in ("gender", "Contract", "PaymentMethod", "InternetService", "Partner"):
            level = sample[name].value_counts().index[0]
            share = (sample[name] == level).mean()
            rate = 0.1 / (1 - share)  # of the others, so that the level's share grows by 10 points

            def more(t: pd.DataFrame, n: str = name, level: str = level, rate: float = rate) -> pd.Series:
                others = t.index[t[n] != level]
                moved = np.random.default_rng(len(t)).choice(others, round(rate * len(others)), replace=False)
                return t[n].astype(str).mask(t.index.isin(moved), level)

            shifts = {f"{level[:16]} +10 points": more}
        else:
            continue
        for text, shift in shifts.items():
            caught = named = 0
            for seed in range(count):
                window = drawn(seed).reset_index(drop=True)
                result, assessment = judge(window.assign(**{name: shift(window)}))
                caught += assessment.severity == "alert"
                named += result.columns[:1] == [name]
            print(f"  {name:<16} {text:<28} {caught:3} of {count} alert, {named:3} name it first", flush=True)


def tilted(pool: pd.DataFrame, weight: np.ndarray, rows: int, seed: int) -> pd.DataFrame:
    """Customers drawn with weights: other customers than before, who behave as such customers did."""
    return pool.sample(rows, weights=weight, random_state=seed, replace=True)


def drifts(dataset: Dataset, rows: int, seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """20 drifts of the customers under which the outcome depends on the columns as before."""
    pool = synthetic.generate(dataset, 40 * rows, seed)
    numbers = {name: (pool[name] - pool[name].mean()) / pool[name].std() for name in ("tenure", "MonthlyCharges")}
    for name, values in numbers.items():
        for strength in (-1.0, -0.5, 0.5, 1.0):
            yield f"{name} tilted by {strength:+}", tilted(pool, np.exp(strength * values.fillna(0)), rows, seed)
    levels = {"Contract": ("Month-to-month", "Two year"), "InternetService": ("Fiber optic", "No"),
              "PaymentMethod": ("Electronic check",), "PaperlessBilling": ("No",)}  # fmt: skip
    for name, level in ((name, level) for name, found in levels.items() for level in found):
        yield f"{level} 4 times as likely", tilted(pool, np.where(pool[name] == level, 4.0, 1.0), rows, seed)
    yield "seniors 4 times as likely", tilted(pool, np.where(pool.SeniorCitizen == 1, 4.0, 1.0), rows, seed)
    yield "only the first year", tilted(pool, (pool.tenure <= 12) + 0.0, rows, seed)
    yield "only after the third year", tilted(pool, (pool.tenure > 36) + 0.0, rows, seed)
    for rise in (1.1, 1.2, 1.3):
        text = dataset.synthetic | {"MonthlyCharges": f"round({rise} * ({dataset.synthetic['MonthlyCharges']}), 2)"}
        changed = dataset.model_copy(update={"synthetic": text})
        yield f"prices up by {rise - 1:.0%}", synthetic.generate(changed, rows, seed)


def concept(dataset: Dataset, rows: int, seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """The same customers, who behave otherwise: what no estimate without outcomes can see."""
    churn = dataset.synthetic["Churn"]
    for name, text in {
        "month-to-month no longer matters": churn.replace("0.75 * (Contract == 'Month-to-month')", "0.0 * tenure"),
        "long customers leave now": churn.replace("0.035 * tenure", "(-0.02) * tenure"),
        "whether they leave is half chance": f"where(bernoulli(0.5), bernoulli(0.27), {churn})",
    }.items():
        yield (
            name,
            synthetic.generate(
                dataset.model_copy(update={"synthetic": dataset.synthetic | {"Churn": text}}), rows, seed
            ),
        )


def estimates(model: Model, judge: Judge, dataset: Dataset, rows: int, seed: int) -> None:
    """CBPE beside the truth on the same rows."""
    errors = []
    for name, customers in drifts(dataset, rows, seed):
        window = model.answer(customers)
        result, assessment = judge(window)
        said, true = result.score("roc_auc"), metrics.auc(window.outcome.to_numpy(int), window.probability.to_numpy())
        assert said is not None
        errors.append(abs(said.value - true))
        print(
            f"  {name:<36} estimated {said.value:.3f}  true {true:.3f}  off {said.value - true:+.3f}  {assessment.severity}",
            flush=True,
        )
    print(f"  mean absolute error over {len(errors)} drifts {np.mean(errors):.4f}, largest {max(errors):.4f}")
    print("  Concept drift, where the estimate is wrong, and what the card says once outcomes are known:")
    for name, customers in concept(dataset, rows, seed):
        window = model.answer(customers)
        result, assessment = judge(window, labelled=True)
        said, true = result.score("roc_auc"), metrics.auc(window.outcome.to_numpy(int), window.probability.to_numpy())
        assert said is not None
        print(
            f"  {name:<36} estimated {said.value:.3f}  true {true:.3f}  {assessment.severity}: {assessment.lights[3].answer}",
            flush=True,
        )


def real(file: str, dataset: Dataset, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training rows and holdout of a real file."""
    from churn.data import sources
    from churn.settings.data import File

    found = validation.validate(tables.from_bytes(sources.read(File(kind="file", path=file), dataset)[0]), dataset, DataConfig(
        source=(File(kind="file", path=file),)).quality, file).table  # fmt: skip
    shuffled = found.sample(frac=1, random_state=seed)
    cut = len(shuffled) // 5
    return shuffled.iloc[cut:], shuffled.iloc[:cut]


def statistics(dataset: Dataset, options: argparse.Namespace) -> None:
    """Everything but the speed."""
    model = Model(
        "xgboost",
        dataset,
        synthetic.generate(dataset, 8000, options.seed),
        synthetic.generate(dataset, 2000, options.seed + 1),
    )
    judge, reference = Judge(model.reference), model.reference.table
    seeds = range(options.windows)
    print("False alarms, windows of 1,000 rows (wanted: at most 2 %)")
    false_alarms(
        judge, (reference.sample(1000, replace=True, random_state=s) for s in seeds), "drawn from the reference"
    )
    false_alarms(
        judge,
        (model.answer(synthetic.generate(dataset, 1000, 10_000 + s)) for s in seeds),
        "new customers of the same kind",
    )
    if options.telco:
        telco = Model("xgboost", dataset, *real(options.telco, dataset, options.seed))
        own = Judge(telco.reference)
        false_alarms(
            own,
            (telco.reference.table.sample(1000, replace=True, random_state=s) for s in seeds),
            "drawn from the reference, real customers",
        )
    print("Power, windows of 5,000 rows (wanted: at least 95 of 100)")
    pool = model.answer(synthetic.generate(dataset, 100_000, options.seed + 2))
    power(judge, lambda seed: pool.sample(5000, random_state=seed), dataset, options.power)
    for family in ("xgboost", "logistic_regression"):
        print(f"Estimated ROC-AUC against the truth, windows of 5,000 rows, {family} (wanted: mean error at most 0.02)")
        chosen = (
            model
            if family == "xgboost"
            else Model(
                family,
                dataset,
                synthetic.generate(dataset, 8000, options.seed),
                synthetic.generate(dataset, 2000, options.seed + 1),
            )
        )
        estimates(chosen, judge if chosen is model else Judge(chosen.reference), dataset, 5000, options.seed + 3)


def speed(rows: int) -> None:
    """MonitorFlow's work and plain scipy, each in a process of its own, on the same two files."""
    with tempfile.TemporaryDirectory() as folder:
        _run("make", folder, str(rows))
        print(f"Speed, {rows:,} rows against a reference of {rows // 10:,}")
        for name in ("scipy", "monitor"):
            seconds, megabytes, said = _run(name, folder)
            print(f"  {name:<8} {seconds:5.1f} s, {megabytes:5.0f} MB  {said}", flush=True)


def _run(*words: str) -> tuple[float, float, str]:
    with tempfile.TemporaryFile("w+") as output:
        started = time.monotonic()
        command = [sys.executable, "-m", "tests.bench.drift_speed", *words]
        process = subprocess.Popen(command, cwd=ROOT, stdout=output)
        _, status, used = os.wait4(process.pid, 0)
        seconds, process.returncode = time.monotonic() - started, os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{words[0]} failed")
        output.seek(0)
        return seconds, used.ru_maxrss / 1024, output.read().strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--telco", default="")
    parser.add_argument("--windows", type=int, default=200)
    parser.add_argument("--power", type=int, default=100)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.windows:
        statistics(core.load(Dataset, TELCO), options)
    if options.rows:
        speed(options.rows)


if __name__ == "__main__":
    main()
