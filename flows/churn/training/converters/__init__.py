"""What skl2onnx cannot convert, or converts to something else: boosted models, and steps of the preprocessing.

Imports the steps of ``training.pipeline`` alone. Another library's model goes into ``boosted``, another step into ``steps``.
"""
