"""What the flow files need of Metaflow beyond their steps: their command line, earlier runs, forked step processes, patches.

Owns all that knows Metaflow but is no flow; ``base``, beside the flows, is built of it. Nothing of ``churn`` imports it. A line
before or after a run goes into ``launch``, what is looked up in earlier runs into ``runs``, a change to Metaflow itself into
``metaflow_patches``.
"""
