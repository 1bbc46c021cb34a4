"""Where scikit-learn models of releases before the rooms look for their steps: their skops files name this module."""

from churn.training.pipeline import *  # noqa: F403
