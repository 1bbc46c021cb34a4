"""Scores of a batch of customers: computed, answered and logged."""
