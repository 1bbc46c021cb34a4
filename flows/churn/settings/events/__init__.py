"""How customers at a moment are derived from events: tables, snapshots, label and aggregates of a description.

A key of ``[tables]``, ``[snapshots]``, ``[label]`` or ``[aggregates]`` belongs in the model of its table here, its computation
in ``churn.data.events``. ``churn.settings.dataset`` adds the resulting columns.
"""
