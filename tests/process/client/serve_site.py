"""Serve a site of a web framework on a free port of 127.0.0.1.

``python serve_site.py django|flask|fastapi FILE`` prints the port and serves until its standard input ends.
"""

import importlib.util
import os
import sys
import threading
from types import ModuleType

HOST = "127.0.0.1"


def module_of(path: str) -> ModuleType:
    """Import the site's program."""
    spec = importlib.util.spec_from_file_location("site_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["site_under_test"] = module
    spec.loader.exec_module(module)
    return module


def ready(port: int) -> None:
    """Print the port, and exit when standard input ends."""
    print(port, flush=True)

    def wait() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def django(path: str) -> None:
    """Serve a Django site with the relevant settings of ``startproject``."""
    from wsgiref.simple_server import make_server

    import django
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application

    middleware = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]
    if os.environ.get("CSRF_MIDDLEWARE") != "off":
        middleware.append("django.middleware.csrf.CsrfViewMiddleware")
    settings.configure(
        ROOT_URLCONF="site_under_test", SECRET_KEY="of this test", ALLOWED_HOSTS=[HOST], MIDDLEWARE=middleware
    )
    django.setup()
    module_of(path)
    server = make_server(HOST, 0, get_wsgi_application())
    ready(server.server_port)
    server.serve_forever()


def flask(path: str) -> None:
    """Serve a Flask site with the server of ``flask run``."""
    from werkzeug.serving import make_server

    server = make_server(HOST, 0, module_of(path).app, threaded=True)
    ready(server.server_port)
    server.serve_forever()


def fastapi(path: str) -> None:
    """Serve a FastAPI site with the server of ``fastapi run``."""
    import socket

    import uvicorn

    app = module_of(path).app
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        listening.listen()
        ready(listening.getsockname()[1])
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    {"django": django, "flask": flask, "fastapi": fastapi}[sys.argv[1]](sys.argv[2])
