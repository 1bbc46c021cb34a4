"""What the nursery (see ``fork_server``) imports for the steps of each flow, in the order in which they need it."""

# Base first: it sets defaults that metaflow reads.
_ALL = ("base", "metaflow.runtime", "pandas", "pyarrow.parquet", "pyarrow.dataset")
# What libraries import late: DVC when it first opens a repository and pushes.
_DVC = (
    *("dvc.repo", "networkx", "ruamel.yaml", "scmrepo.git", "dvc_render.vega", "rich.status"),
    *("dvc_data.index", "dvc_data.hashfile.status", "dvc.lock", "botocore.exceptions"),
)
# What MLflow's client imports when it first opens its database, and when it logs a model.
_MLFLOW = (
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.sklearn",
    "skops.io",
)
IMPORTS = {
    "data_flow.py": (
        *_ALL,
        *("churn.validation.ingestion", "churn.validation.schema", "pandera.backends.pandas.register"),
        *("churn.cards.data_card", "churn.telemetry.push", "prometheus_client.openmetrics.parser"),
        *_DVC,
    ),
    "score_flow.py": (
        *(*_ALL, "churn.validation.schema", "mlflow"),
        *("churn.serving.ranking.shards", "mlflow.store.tracking.sqlalchemy_store"),  # every shard needs them
    ),
    "deploy_flow.py": (*_ALL, "mlflow"),
    "probe_flow.py": ("base", "metaflow.runtime"),
    "monitor_flow.py": (*_ALL, "mlflow", "nannyml"),
    "train_flow.py": (
        *_ALL,
        *(*_DVC, "sklearn.ensemble", "sklearn.linear_model", "sklearn.model_selection", "mlflow", "xgboost"),
        *("optuna.pruners", "lightgbm", *_MLFLOW, "matplotlib.pyplot", "sklearn.inspection", "skl2onnx", "onnxmltools"),
    ),  # not onnxruntime: it starts a thread
}

S3 = ("boto3", "metaflow.plugins.datatools.s3.s3", "s3fs", "dvc_s3")  # for storage in S3
