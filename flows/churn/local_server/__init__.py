"""The process of ``make serve``: a local port, and the Bentos that answer on it.

May import only ``settings``. ``server_process`` starts and stops a Bento's processes, ``supervisor`` chooses the Bento for each
connection, ``worker`` is the process that answers.
"""
