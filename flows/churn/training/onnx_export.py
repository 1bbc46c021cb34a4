"""The fitted pipeline as one ONNX graph: an input (n, 1) for each column, one output "probabilities" (n, 2)."""

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.settings.dataset import Dataset
from churn.training.calibration import EDGE

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

OPSET = {"": 17, "ai.onnx.ml": 3}  # what XGBoost's converter can write
PART_NODES, MOST_PARTS = 16_384, 32  # of a tree ensemble: about 400 kB, which fits into the cache of a core


def convert(pipeline: "Pipeline", dataset: Dataset) -> bytes:
    """Convert a pipeline over model inputs to the bytes of an ONNX graph.

    Its model may be a ``pipeline.Blend`` of other pipelines, and ``pipeline.Calibrated``.
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
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    _know_booster(pipeline.steps[-1][1])
    _know_one_hot()
    _know_ours()
    inputs = [(name, FloatTensorType([None, 1])) for name in dataset.numeric]
    inputs += [(name, StringTensorType([None, 1])) for name in dataset.categorical]
    graph = to_onnx(pipeline, initial_types=inputs, options={id(pipeline): {"zipmap": False}}, target_opset=OPSET)
    _part_trees(graph)
    return graph


def _mean(graphs: list[Any], weights: list[float]) -> Any:
    """One graph with the weighted mean of the graphs' probabilities; they have the same inputs, in the same order."""
    from onnx import checker, compose, helper

    first = graphs[0].graph
    nodes, constants, outputs = [], [], []
    for number, model in enumerate(graphs):
        # The inputs keep their names and so are shared; a prefix keeps everything else apart.
        one = compose.add_prefix(model, f"m{number}_", rename_inputs=False).graph
        nodes += one.node
        constants += one.initializer
        given = next(output.name for output in one.output if output.name.endswith("probabilities"))
        outputs.append(f"m{number}_weighted")
        constants.append(helper.make_tensor(f"m{number}_weight", 1, [1], [weights[number]]))
        nodes.append(helper.make_node("Mul", [given, f"m{number}_weight"], [outputs[-1]]))
    nodes.append(helper.make_node("Sum", outputs, ["probabilities"]))
    probabilities = next(output for output in first.output if output.name == "probabilities")
    graph = helper.make_graph(nodes, "blend", first.input, [probabilities], constants)
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSET.items()]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=graphs[0].ir_version)
    checker.check_model(made)
    return made


def _know_booster(estimator: Any) -> None:
    """Register the converter of XGBoost's, LightGBM's or CatBoost's classifier, if ``estimator`` is one."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes as shapes

    options: Any = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    library = type(estimator).__module__.split(".")[0]
    if library == "xgboost":
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

        update_registered_converter(type(estimator), "XGBoostXGBClassifier", shapes, convert_xgboost, options=options)
    elif library == "lightgbm":
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

        def convert(scope: Any, operator: Any, container: Any) -> None:
            operator.raw_operator = _Rounded(operator.raw_operator)
            convert_lightgbm(scope, operator, container)

        update_registered_converter(type(estimator), "LightGbmLGBMClassifier", shapes, convert, options=options)
    elif library == "catboost":
        from skl2onnx.common.data_types import FloatTensorType, Int64TensorType

        def convert_catboost(scope: Any, operator: Any, container: Any) -> None:
            from catboost.utils import convert_to_onnx_object
            from onnx import helper

            trees = convert_to_onnx_object(operator.raw_operator).graph.node[0]  # a node after it makes dictionaries
            given = {attribute.name: helper.get_attribute_value(attribute) for attribute in trees.attribute}
            names = [one.full_name for one in (*operator.inputs, *operator.outputs)]
            container.add_node(trees.op_type, names[:1], names[1:], op_domain="ai.onnx.ml", op_version=1, **given)

        def outputs(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
            made = scope.declare_local_operator("ChurnflowCatBoost", model)  # skl2onnx sees no classifier in it
            made.inputs = inputs
            for name, kind in (("label", Int64TensorType()), ("probabilities", FloatTensorType())):
                made.outputs.append(scope.declare_local_variable(name, kind))
            return made.outputs

        update_registered_converter(
            type(estimator), "ChurnflowCatBoost", shapes, convert_catboost, parser=outputs, options=options
        )


class _Rounded:
    """LightGBM's classifier with thresholds in float32, rounded down: for numbers in float32, as inputs are, they mean the same.

    The nearest float32 can be the next larger input, which the model sends to the other side. And a missing number is 0 to a node
    that has seen none, whatever side the node says it sends them to.
    """

    is_mock = True  # onnxmltools then takes the trees as ``dump_model`` gives them

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._estimator, name)

    @property
    def booster_(self) -> "_Rounded":
        return _Rounded(self._estimator.booster_)

    def dump_model(self) -> dict[str, Any]:
        dumped = self._estimator.dump_model()
        open_nodes = [tree["tree_structure"] for tree in dumped["tree_info"]]
        while open_nodes:
            node = open_nodes.pop()
            if "threshold" in node:
                given = np.float32(node["threshold"])
                down = np.nextafter(given, np.float32(-np.inf)) if float(given) > node["threshold"] else given
                node["threshold"] = float(down)
                node["default_left"] = down >= 0 if node["missing_type"] == "None" else node["default_left"]
                open_nodes += [node["left_child"], node["right_child"]]
        return dumped


def _know_one_hot() -> None:
    """Register a converter of OneHotEncoder for text.

    skl2onnx's own cannot group the rare levels of a single column, and declares too wide an output where it groups. Here a table
    maps each level to its position in the output (rare levels share the last), which is then one-hot encoded; an unknown
    level has no position, so all zeros.
    """
    from skl2onnx import update_registered_converter
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.preprocessing import OneHotEncoder

    def shape(operator: Any) -> None:
        width = len(operator.raw_operator.get_feature_names_out())
        operator.outputs[0].type = FloatTensorType([operator.inputs[0].get_first_dimension(), width])

    def convert(scope: Any, operator: Any, container: Any) -> None:
        encoder, parts = operator.raw_operator, []
        for i, (given, levels) in enumerate(zip(operator.inputs, encoder.categories_, strict=True)):
            rare = set() if encoder.infrequent_categories_[i] is None else set(encoder.infrequent_categories_[i])
            common = [level for level in levels if level not in rare]
            places = {level: n for n, level in enumerate(common)} | dict.fromkeys(rare, len(common))
            place, part = (scope.get_unique_variable_name(f"{name}_{i}") for name in ("place", "one_hot"))
            # Sorted: the order of a set of strings differs between processes, and so would the bytes.
            texts = sorted(places)
            table = {"keys_strings": texts, "values_int64s": [places[t] for t in texts], "default_int64": -1}
            width = len(common) + bool(rare)
            container.add_node("LabelEncoder", given.full_name, place, op_domain="ai.onnx.ml", op_version=2, **table)
            container.add_node(
                "OneHotEncoder", place, part, op_domain="ai.onnx.ml", cats_int64s=list(range(width)), zeros=1
            )
            flat = scope.get_unique_variable_name(f"flat_{i}")
            rows = scope.get_unique_variable_name(f"shape_{i}")
            container.add_initializer(rows, 7, [2], [-1, width])  # 7: int64
            container.add_node("Reshape", [part, rows], flat)
            parts.append(flat)
        container.add_node("Concat", parts, operator.outputs[0].full_name, axis=1)

    update_registered_converter(OneHotEncoder, "ChurnflowOneHotEncoder", shape, convert)


def _know_ours() -> None:
    """Register the converters of ``pipeline.Hinges`` and ``pipeline.LevelRates``."""
    from churn.training.pipeline import Hinges, LevelRates
    from skl2onnx import update_registered_converter
    from skl2onnx.common.data_types import FloatTensorType

    def shape_hinges(operator: Any) -> None:
        width = sum(given.type.shape[1] for given in operator.inputs) + len(operator.raw_operator.at_)
        operator.outputs[0].type = FloatTensorType([operator.inputs[0].get_first_dimension(), width])

    def shape_rates(operator: Any) -> None:
        width = len(operator.raw_operator.encoder_.encodings_)
        operator.outputs[0].type = FloatTensorType([operator.inputs[0].get_first_dimension(), width])

    def convert_hinges(scope: Any, operator: Any, container: Any) -> None:
        step, names = operator.raw_operator, ("all", "columns", "at", "bent", "beyond", "hinges")
        whole, columns, at, bent, beyond, hinges = (scope.get_unique_variable_name(name) for name in names)
        container.add_node("Concat", [given.full_name for given in operator.inputs], whole, axis=1)
        container.add_initializer(columns, 7, [len(step.columns_)], step.columns_.tolist())  # 7: int64
        container.add_initializer(at, 1, [len(step.at_)], step.at_.tolist())  # 1: float
        container.add_node("Gather", [whole, columns], bent, axis=1)
        container.add_node("Sub", [bent, at], beyond)
        container.add_node("Relu", beyond, hinges)
        container.add_node("Concat", [whole, hinges], operator.outputs[0].full_name, axis=1)

    def convert_rates(scope: Any, operator: Any, container: Any) -> None:
        encoder, parts, whole = operator.raw_operator.encoder_, [], scope.get_unique_variable_name("all")
        container.add_node("Concat", [given.full_name for given in operator.inputs], whole, axis=1)
        for i, (levels, rates) in enumerate(zip(encoder.categories_, encoder.encodings_, strict=True)):
            place, level, rate = (scope.get_unique_variable_name(f"{name}_{i}") for name in ("at", "level", "rate"))
            parts.append(rate)
            container.add_initializer(place, 7, [1], [i])  # 7: int64
            container.add_node("Gather", [whole, place], level, axis=1)
            table = {"keys_strings": levels.tolist(), "values_floats": rates.tolist()}
            default = {"default_float": float(encoder.target_mean_)}
            container.add_node("LabelEncoder", level, rate, op_domain="ai.onnx.ml", op_version=2, **table, **default)
        container.add_node("Concat", parts, operator.outputs[0].full_name, axis=1)

    update_registered_converter(Hinges, "ChurnflowHinges", shape_hinges, convert_hinges)
    update_registered_converter(LevelRates, "ChurnflowLevelRates", shape_rates, convert_rates)


def _part_trees(model: Any) -> None:
    """Split the tree ensemble of the graph into a sum of small ones, and drop its label output.

    ONNX Runtime takes each row through all trees before the next row; trees that do not fit into the cache of a core are fetched
    again for every row, which doubles the time of a large forest. Other models are left as they are.
    """
    from onnx import helper

    graph = model.graph
    tree = graph.node[-1]
    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in tree.attribute}
    if tree.op_type != "TreeEnsembleClassifier" or set(given["class_ids"]) != {0}:  # one score, of churning
        return
    trees = sorted(set(given["nodes_treeids"]))
    count = min(-(-len(given["nodes_treeids"]) // PART_NODES), MOST_PARTS, len(trees))
    parts = [f"trees_{i}" for i in range(count)]
    del graph.node[-1]
    for i, name in enumerate(parts):
        mine = set(trees[i * len(trees) // count : (i + 1) * len(trees) // count])
        picked = _picked(given, "nodes_", "nodes_", mine) | _picked(given, "class_", "target_", mine)
        base = {"base_values": given["base_values"]} if i == 0 and given.get("base_values") else {}
        node = helper.make_node("TreeEnsembleRegressor", tree.input, [name], domain="ai.onnx.ml", n_targets=1)
        node.attribute.extend(helper.make_attribute(key, values) for key, values in {**picked, **base}.items())
        graph.node.append(node)
    last = "Sigmoid" if given["post_transform"] == b"LOGISTIC" else "Identity"
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


def _picked(given: Mapping[str, Any], old: str, new: str, trees: Container[int]) -> dict[str, Any]:
    """The attributes with the prefix ``old``, restricted to ``trees``, under the prefix ``new``."""
    places = [i for i, tree in enumerate(given[f"{old}treeids"]) if tree in trees]
    lists = {name: values for name, values in given.items() if name.startswith(old)}
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
    graph.node.extend(helper.make_node(kind, into, [out], **given) for kind, into, out, given in steps)
