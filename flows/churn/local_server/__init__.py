"""The process of ``make serve``: a port of this machine, and the Bentos that answer there.

May import ``settings`` alone. How a Bento's processes begin and end is ``server_process``, which of several gets a connection
``supervisor``, what the process itself does with one ``worker``.
"""
