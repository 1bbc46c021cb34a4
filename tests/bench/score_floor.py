"""The floor of ``make bench-score``: what ScoreFlow does to Telco customers, in one process, by hand: pyarrow reads the CSV,
ONNX Runtime scores, DuckDB sorts and writes. No checks of the rows, no reasons, no log, no steps to resume at.
``python tests/bench/score_floor.py customers.csv FOLDER``
"""

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "flows"))

import churn.settings.environment  # noqa: E402, F401 - sets the variables that the libraries read
import duckdb  # noqa: E402
import pyarrow as pa  # noqa: E402
from churn.registry import model_registry  # noqa: E402
from churn.serving import batch_scoring  # noqa: E402
from churn.settings import core  # noqa: E402
from churn.settings.dataset import Dataset  # noqa: E402
from pyarrow import csv  # noqa: E402


def main(source: str, folder: str) -> None:
    telco = core.load(Dataset, ROOT / "config" / "datasets" / "telco.toml")
    model = model_registry.by_alias(telco.model, model_registry.CHAMPION)
    assert model is not None
    scorer = batch_scoring.scorer(model)
    kinds = {name: pa.float64() if column.numeric else pa.string() for name, column in telco.columns.items()}
    reader = csv.open_csv(
        source, csv.ReadOptions(block_size=32 << 20), convert_options=csv.ConvertOptions(column_types=kinds)
    )

    def scored() -> "Iterator[pa.RecordBatch]":
        for batch in reader:
            chances = scorer.table(batch.to_pandas())
            yield batch.append_column("probability", pa.array(chances, pa.float64()))

    schema = reader.schema.append(pa.field("probability", pa.float64()))
    with duckdb.connect(config={"memory_limit": "2GB", "temp_directory": f"{folder}/spill"}) as connection:
        connection.register("scored", pa.RecordBatchReader.from_batches(schema, scored()))
        connection.execute(f"COPY (SELECT * FROM scored ORDER BY probability DESC) TO '{folder}/floor.csv' (HEADER)")


if __name__ == "__main__":
    main(*sys.argv[1:])
