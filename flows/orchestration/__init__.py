"""Metaflow code shared by the flows: command line, lookups in earlier runs, forked step processes, patches.

Contains everything that depends on Metaflow but is not a flow; ``base``, next to the flows, builds on it. Nothing in ``churn``
imports it. Output before or after a run belongs in ``launch``, lookups in earlier runs in ``runs``, and changes to Metaflow
itself in ``metaflow_patches``.
"""
