"""Converters of one-hot encoding for text and of the steps in ``pipeline``."""

from typing import Any


def know_steps() -> None:
    """Register the converters."""
    _know_one_hot()
    _know_ours()


def _know_one_hot() -> None:
    """Register a converter of OneHotEncoder for text.

    skl2onnx's own cannot group the rare levels of a single column, and declares too wide an output when it groups. Here a table
    maps each level to its position in the output (rare levels share the last), which is then one-hot encoded; an unknown
    level has no position, so it becomes all zeros.
    """
    from skl2onnx import update_registered_converter
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.preprocessing import OneHotEncoder

    def shape(operator: Any) -> None:
        width = len(operator.raw_operator.get_feature_names_out())
        operator.outputs[0].type = FloatTensorType([operator.inputs[0].get_first_dimension(), width])

    def convert(scope: Any, operator: Any, container: Any) -> None:
        encoder, parts = operator.raw_operator, []
        for i, (variable, levels) in enumerate(zip(operator.inputs, encoder.categories_, strict=True)):
            rare = set() if encoder.infrequent_categories_[i] is None else set(encoder.infrequent_categories_[i])
            common = [level for level in levels if level not in rare]
            places = {level: n for n, level in enumerate(common)} | dict.fromkeys(rare, len(common))
            place, part = (scope.get_unique_variable_name(f"{name}_{i}") for name in ("place", "one_hot"))
            # Sorted: the order of a set of strings, and so the bytes, would differ between processes.
            texts = sorted(places)
            table = {"keys_strings": texts, "values_int64s": [places[t] for t in texts], "default_int64": -1}
            width = len(common) + bool(rare)
            container.add_node("LabelEncoder", variable.full_name, place, op_domain="ai.onnx.ml", op_version=2, **table)
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
        width = sum(variable.type.shape[1] for variable in operator.inputs) + len(operator.raw_operator.at_)
        operator.outputs[0].type = FloatTensorType([operator.inputs[0].get_first_dimension(), width])

    def shape_rates(operator: Any) -> None:
        width = len(operator.raw_operator.encoder_.encodings_)
        operator.outputs[0].type = FloatTensorType([operator.inputs[0].get_first_dimension(), width])

    def convert_hinges(scope: Any, operator: Any, container: Any) -> None:
        step, names = operator.raw_operator, ("all", "columns", "at", "bent", "beyond", "hinges")
        matrix, columns, at, bent, beyond, hinges = (scope.get_unique_variable_name(name) for name in names)
        container.add_node("Concat", [variable.full_name for variable in operator.inputs], matrix, axis=1)
        container.add_initializer(columns, 7, [len(step.columns_)], step.columns_.tolist())  # 7: int64
        container.add_initializer(at, 1, [len(step.at_)], step.at_.tolist())  # 1: float
        container.add_node("Gather", [matrix, columns], bent, axis=1)
        container.add_node("Sub", [bent, at], beyond)
        container.add_node("Relu", beyond, hinges)
        container.add_node("Concat", [matrix, hinges], operator.outputs[0].full_name, axis=1)

    def convert_rates(scope: Any, operator: Any, container: Any) -> None:
        encoder, parts, matrix = operator.raw_operator.encoder_, [], scope.get_unique_variable_name("all")
        container.add_node("Concat", [variable.full_name for variable in operator.inputs], matrix, axis=1)
        for i, (levels, rates) in enumerate(zip(encoder.categories_, encoder.encodings_, strict=True)):
            place, level, rate = (scope.get_unique_variable_name(f"{name}_{i}") for name in ("at", "level", "rate"))
            parts.append(rate)
            container.add_initializer(place, 7, [1], [i])  # 7: int64
            container.add_node("Gather", [matrix, place], level, axis=1)
            table = {"keys_strings": levels.tolist(), "values_floats": rates.tolist()}
            default = {"default_float": float(encoder.target_mean_)}
            container.add_node("LabelEncoder", level, rate, op_domain="ai.onnx.ml", op_version=2, **table, **default)
        container.add_node("Concat", parts, operator.outputs[0].full_name, axis=1)

    update_registered_converter(Hinges, "ChurnflowHinges", shape_hinges, convert_hinges)
    update_registered_converter(LevelRates, "ChurnflowLevelRates", shape_rates, convert_rates)
