"""How customers at a moment are made from events: tables, snapshots, label and aggregates of a data set's description.

A key of ``[tables]``, ``[snapshots]``, ``[label]`` or ``[aggregates]`` goes into the model of its table here; how it is
computed, into ``churn.data.events``. ``churn.settings.dataset`` takes the columns that follow from them.
"""
