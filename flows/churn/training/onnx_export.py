"""The fitted pipeline as one ONNX graph: an input (n, 1) for each column, one output "probabilities" (n, 2)."""

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.settings.dataset import Dataset
from churn.training.calibration import EDGE
from churn.training.converters import boosted, steps

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

OPSET = {"": 17, "ai.onnx.ml": 3}  # the newest that XGBoost's converter can write
PART_NODES, MOST_PARTS = 16_384, 32  # of a tree ensemble: about 400 kB, which fits into the cache of a core


def convert(pipeline: "Pipeline", dataset: Dataset) -> bytes:
    """Convert a pipeline over model inputs to the bytes of an ONNX graph.

    Its model may be a ``pipeline.Blend`` of other pipelines, and may be ``pipeline.Calibrated``.
    """
    from churn.training.pipeline import Blend, Calibrated
    from sklearn.pipeline import Pipeline

    last = pipeline.steps[-1][1]
    core = last.estimator if isinstance(last, Calibrated) else last
    if isinstance(core, Blend):
        weights = core.weights or [1 / len(core.members)] * len(core.members)
        graph = _mean([_one(member, dataset) for _, member in core.members], weights)
    else:
        graph = _one(Pipeline([*pipeline.steps[:-1], ("model", core)]), dataset)
    if isinstance(last, Calibrated):
        _recalibrate(graph, last.slope, last.intercept)
    return graph.SerializeToString()


def _one(pipeline: "Pipeline", dataset: Dataset) -> Any:
    """The graph of preprocessing and one estimator."""
    return converted(pipeline, inputs(dataset))


def inputs(dataset: Dataset) -> list[tuple[str, Any]]:
    """The names and types of the model inputs."""
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    numbers = [(name, FloatTensorType([None, 1])) for name in dataset.numeric]
    return numbers + [(name, StringTensorType([None, 1])) for name in dataset.categorical]


def converted(fitted: Any, input_types: list[tuple[str, Any]]) -> Any:
    """The graph of a fitted pipeline or estimator over inputs of these names and types."""
    from skl2onnx import to_onnx
    from sklearn.base import is_classifier

    boosted.know_booster(fitted.steps[-1][1] if hasattr(fitted, "steps") else fitted)
    steps.know_steps()
    options: Any = {id(fitted): {"zipmap": False}} if is_classifier(fitted) else None
    graph = to_onnx(fitted, initial_types=input_types, options=options, target_opset=OPSET)
    _part_trees(graph)
    return graph


def _mean(graphs: list[Any], weights: list[float]) -> Any:
    """One graph with the weighted mean of the graphs' probabilities; they have the same inputs, in the same order."""
    from onnx import checker, compose, helper

    first = graphs[0].graph
    nodes, constants, outputs = [], [], []
    for number, model in enumerate(graphs):
        # The inputs keep their names, so the graphs share them; a prefix keeps everything else apart.
        one = compose.add_prefix(model, f"m{number}_", rename_inputs=False).graph
        nodes += one.node
        constants += one.initializer
        model_output = next(output.name for output in one.output if output.name.endswith("probabilities"))
        outputs.append(f"m{number}_weighted")
        constants.append(helper.make_tensor(f"m{number}_weight", 1, [1], [weights[number]]))
        nodes.append(helper.make_node("Mul", [model_output, f"m{number}_weight"], [outputs[-1]]))
    nodes.append(helper.make_node("Sum", outputs, ["probabilities"]))
    probabilities = next(output for output in first.output if output.name == "probabilities")
    graph = helper.make_graph(nodes, "blend", first.input, [probabilities], constants)
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSET.items()]
    merged = helper.make_model(graph, opset_imports=opsets, ir_version=graphs[0].ir_version)
    checker.check_model(merged)
    return merged


def _part_trees(model: Any) -> None:
    """Split the graph's tree ensemble into a sum of small ones, and drop its label output.

    ONNX Runtime takes each row through all trees before the next row; trees that do not fit into a core's cache are fetched
    again for every row, which doubles the time of a large forest. Other models are left unchanged.
    """
    from onnx import helper

    graph = model.graph
    tree = graph.node[-1]
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in tree.attribute}
    if tree.op_type != "TreeEnsembleClassifier" or set(attributes["class_ids"]) != {0}:  # a single score, for churn
        return
    trees = sorted(set(attributes["nodes_treeids"]))
    count = min(-(-len(attributes["nodes_treeids"]) // PART_NODES), MOST_PARTS, len(trees))
    parts = [f"trees_{i}" for i in range(count)]
    del graph.node[-1]
    for i, name in enumerate(parts):
        mine = set(trees[i * len(trees) // count : (i + 1) * len(trees) // count])
        picked = _picked(attributes, "nodes_", "nodes_", mine) | _picked(attributes, "class_", "target_", mine)
        base = {"base_values": attributes["base_values"]} if i == 0 and attributes.get("base_values") else {}
        node = helper.make_node("TreeEnsembleRegressor", tree.input, [name], domain="ai.onnx.ml", n_targets=1)
        node.attribute.extend(helper.make_attribute(key, values) for key, values in {**picked, **base}.items())
        graph.node.append(node)
    last = "Sigmoid" if attributes["post_transform"] == b"LOGISTIC" else "Identity"
    graph.initializer.append(helper.make_tensor("trees_one", 1, [1], [1.0]))
    graph.node.extend(
        [
            helper.make_node("Sum", parts, ["trees_score"]),
            helper.make_node(last, ["trees_score"], ["trees_churned"]),
            helper.make_node("Sub", ["trees_one", "trees_churned"], ["trees_stayed"]),
            helper.make_node("Concat", ["trees_stayed", "trees_churned"], ["probabilities"], axis=1),
        ]
    )
    del graph.output[0]


def _picked(attributes: Mapping[str, Any], old: str, new: str, trees: Container[int]) -> dict[str, Any]:
    """The attributes with the prefix ``old``, restricted to ``trees``, under the prefix ``new``."""
    places = [i for i, tree in enumerate(attributes[f"{old}treeids"]) if tree in trees]
    lists = {name: values for name, values in attributes.items() if name.startswith(old)}
    return {new + name.removeprefix(old): [values[i] for i in places] for name, values in lists.items()}


def _recalibrate(model: Any, slope: float, intercept: float) -> None:
    """Append ``calibration.recalibrate`` to the graph's output "probabilities", which keeps its name."""
    from onnx import helper, numpy_helper

    graph = model.graph
    for node in graph.node:
        for i, name in enumerate(node.output):
            if name == "probabilities":
                node.output[i] = "uncalibrated"
    constants = {"one": [1.0], "low": EDGE, "high": 1 - EDGE, "slope": [slope], "intercept": [intercept]}
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(np.array(value, dtype=np.float32), f"calibration_{name}"))
    graph.initializer.append(numpy_helper.from_array(np.array([1], dtype=np.int64), "calibration_column"))
    steps: list[tuple[str, list[str], str, Any]] = [
        ("Gather", ["uncalibrated", "calibration_column"], "cal_p", {"axis": 1}),
        ("Clip", ["cal_p", "calibration_low", "calibration_high"], "cal_clipped", {}),
        ("Sub", ["calibration_one", "cal_clipped"], "cal_rest", {}),
        ("Div", ["cal_clipped", "cal_rest"], "cal_odds", {}),
        ("Log", ["cal_odds"], "cal_logit", {}),
        ("Mul", ["cal_logit", "calibration_slope"], "cal_sloped", {}),
        ("Add", ["cal_sloped", "calibration_intercept"], "cal_moved", {}),
        ("Sigmoid", ["cal_moved"], "cal_churned", {}),
        ("Sub", ["calibration_one", "cal_churned"], "cal_stayed", {}),
        ("Concat", ["cal_stayed", "cal_churned"], "probabilities", {"axis": 1}),
    ]
    graph.node.extend(helper.make_node(kind, into, [out], **attributes) for kind, into, out, attributes in steps)
