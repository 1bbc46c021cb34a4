"""Converters of XGBoost, LightGBM and CatBoost models."""

from typing import Any

import numpy as np


def know_booster(estimator: Any) -> None:
    """Register the converter if ``estimator`` is an XGBoost or LightGBM classifier or regressor, or a CatBoost classifier."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator
    from sklearn.base import is_classifier

    kind, shapes, options = "Regressor", shape_calculator.calculate_linear_regressor_output_shapes, dict[str, Any]()
    if is_classifier(estimator):
        kind, shapes = "Classifier", shape_calculator.calculate_linear_classifier_output_shapes
        options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    library = type(estimator).__module__.split(".")[0]
    if library == "xgboost":
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

        update_registered_converter(type(estimator), f"XGBoostXGB{kind}", shapes, convert_xgboost, options=options)
    elif library == "lightgbm":
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

        def convert(scope: Any, operator: Any, container: Any) -> None:
            operator.raw_operator = _Rounded(operator.raw_operator)
            convert_lightgbm(scope, operator, container)

        update_registered_converter(type(estimator), f"LightGbmLGBM{kind}", shapes, convert, options=options)
    elif library == "catboost":
        from skl2onnx.common.data_types import FloatTensorType, Int64TensorType

        def convert_catboost(scope: Any, operator: Any, container: Any) -> None:
            from catboost.utils import convert_to_onnx_object
            from onnx import helper

            trees = convert_to_onnx_object(operator.raw_operator).graph.node[0]  # the next node builds dictionaries
            attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in trees.attribute}
            names = [one.full_name for one in (*operator.inputs, *operator.outputs)]
            container.add_node(trees.op_type, names[:1], names[1:], op_domain="ai.onnx.ml", op_version=1, **attributes)

        def outputs(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
            nested = scope.declare_local_operator("ChurnflowCatBoost", model)  # to skl2onnx it is no classifier
            nested.inputs = inputs
            for name, kind in (("label", Int64TensorType()), ("probabilities", FloatTensorType())):
                nested.outputs.append(scope.declare_local_variable(name, kind))
            return nested.outputs

        shapes = shape_calculator.calculate_linear_classifier_output_shapes
        options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
        update_registered_converter(
            type(estimator), "ChurnflowCatBoost", shapes, convert_catboost, parser=outputs, options=options
        )


class _Rounded:
    """LightGBM's classifier with thresholds rounded down to float32, which is equivalent for float32 inputs.

    The nearest float32 could be the next larger input, which the model sends the other way. A node that saw no missing values
    in training treats them as 0, whatever default direction it declares.
    """

    is_mock = True  # onnxmltools then uses the trees that ``dump_model`` returns

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
                rounded = np.float32(node["threshold"])
                down = np.nextafter(rounded, np.float32(-np.inf)) if float(rounded) > node["threshold"] else rounded
                node["threshold"] = float(down)
                node["default_left"] = down >= 0 if node["missing_type"] == "None" else node["default_left"]
                open_nodes += [node["left_child"], node["right_child"]]
        return dumped
