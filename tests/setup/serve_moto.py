"""Serves moto, another implementation of S3 and CloudFront, on a free port of loopback until its standard input ends.

Answers one request after the other: moto checks a condition and writes afterwards without a lock between the two, and
the tests are about clients, not about that. Prints the address as its first line.
"""

import io
import os
import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

turn = threading.Lock()
moto = DomainDispatcherApplication(create_backend_app)


def application(environ, start_response):
    # A slow sender must not hold up the others, so its body is read before its turn comes.
    length = int(environ.get("CONTENT_LENGTH") or 0)
    environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))

    def start(status, fields, *error):
        # The handler sends a `Server` already, and two are against RFC 9110 §5.3.
        start_response(status, [field for field in fields if field[0].lower() != "server"], *error)

    with turn:
        return list(moto(environ, start))


def end_with_parent():
    sys.stdin.read()
    os._exit(0)


server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
threading.Thread(target=end_with_parent, daemon=True).start()
server.serve_forever()
