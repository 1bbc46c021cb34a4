"""Converters for what skl2onnx cannot convert, or converts incorrectly: boosted models and preprocessing steps.

Imports only the steps of ``training.pipeline``. Another library's model belongs in ``boosted``, another step in ``steps``.
"""
