"""The web server's application: it takes requests in, shares the threads and sends responses.

The network is served by an event loop, and Django by a few threads, which never wait for a client (decision
0037).
"""

from koppel.web.server.application import Application

__all__ = ["Application"]
