"""A fitted uplift pipeline as one ONNX graph: an input (n, 1) for each column, one output "uplift" (n, 1)."""

from typing import TYPE_CHECKING, Any

from churn.settings.dataset import Dataset
from churn.training import onnx_export

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

OUTPUT = "uplift"


def convert_uplift(pipeline: "Pipeline", dataset: Dataset) -> bytes:
    """The bytes of the graph of preprocessing and a ``pipeline.Uplift``.

    The members share the preprocessing; a member that takes the arm gets it as a constant last column.
    """
    from onnx import checker, compose, helper
    from skl2onnx.common.data_types import FloatTensorType

    prepare, last = (step for _, step in pipeline.steps)
    first = onnx_export.converted(prepare, onnx_export.inputs(dataset))
    shared = compose.add_prefix(first, "inputs_", rename_inputs=False).graph
    nodes, constants, matrix = [*shared.node], [*shared.initializer], shared.output[0].name
    parts = []
    for number, (weight, arm, member) in enumerate(zip(last.weights, last.arms, last.estimators, strict=True)):
        name, input_name = f"m{number}", matrix
        if arm is not None:
            input_name = f"{name}_with_arm"
            nodes += _with_arm(name, arm, matrix, shared.input[0].name)
        converted = onnx_export.converted(member, [("matrix", FloatTensorType([None, None]))])
        converted = compose.add_prefix(converted, f"{name}_").graph
        nodes += [helper.make_node("Identity", [input_name], [f"{name}_matrix"]), *converted.node]
        constants += converted.initializer
        output_name = next(
            (o.name for o in converted.output if o.name.endswith("probabilities")), converted.output[0].name
        )
        nodes += _weighed(name, weight, output_name, constants)
        parts.append(f"{name}_part")
    nodes.append(helper.make_node("Sum", parts, [OUTPUT]))
    output = helper.make_tensor_value_info(OUTPUT, 1, [None, 1])
    graph = helper.make_graph(nodes, OUTPUT, shared.input, [output], constants)
    opsets = [helper.make_opsetid(domain, version) for domain, version in onnx_export.OPSET.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=first.ir_version)
    checker.check_model(model)
    return model.SerializeToString()


def _with_arm(name: str, arm: float, matrix: str, column: str) -> list[Any]:
    """Nodes that append ``arm`` to the rows of the matrix; ``column`` is an input of shape (n, 1)."""
    from onnx import helper

    value = helper.make_tensor("arm", 1, [1], [arm])
    return [
        helper.make_node("Shape", [column], [f"{name}_rows"]),
        helper.make_node("ConstantOfShape", [f"{name}_rows"], [f"{name}_arm"], value=value),
        helper.make_node("Concat", [matrix, f"{name}_arm"], [f"{name}_with_arm"], axis=1),
    ]


def _weighed(name: str, weight: float, output_name: str, constants: list[Any]) -> list[Any]:
    """Nodes that multiply a member's prediction, or probability of staying, by its weight."""
    from onnx import helper

    constants.append(helper.make_tensor(f"{name}_weight", 1, [1], [weight]))
    nodes = []
    if output_name.endswith("probabilities"):
        constants.append(helper.make_tensor(f"{name}_stays", 7, [1], [1]))
        nodes.append(helper.make_node("Gather", [output_name, f"{name}_stays"], [f"{name}_chance"], axis=1))
        output_name = f"{name}_chance"
    return [*nodes, helper.make_node("Mul", [output_name, f"{name}_weight"], [f"{name}_part"])]
