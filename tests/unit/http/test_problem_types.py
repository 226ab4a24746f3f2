"""Every request error has a problem type, known only to ``shopbell.http``."""

import importlib
import pkgutil

import shopbell
from shopbell.errors import Quota, QuotaExceeded, RequestError, StorageError
from shopbell.http.request.errors import HttpError
from shopbell.http.request.problem_types import PROBLEM_TYPES, problem_type
from shopbell.http.request.problems import headers_of, request_error
from shopbell.http.server.errors import ServerError


def _subclasses(kind: type[RequestError]) -> set[type[RequestError]]:
    direct = set(kind.__subclasses__())
    return direct.union(*map(_subclasses, direct))


def test_every_request_error_has_a_problem_type() -> None:
    for module in pkgutil.walk_packages(shopbell.__path__, "shopbell."):
        if not module.name.startswith(("shopbell.client", "shopbell.__main__", "shopbell.db.migrations")):
            importlib.import_module(module.name)
    without_own = {RequestError, HttpError, ServerError}
    found = {problem_type(error) for error in _subclasses(RequestError) - without_own}
    assert found == set(PROBLEM_TYPES.values())


def test_domain_errors_do_not_depend_on_http() -> None:
    for error in _subclasses(RequestError):
        if not error.__module__.startswith("shopbell.http."):
            assert not {"status", "headers", "title"} & set(dir(error)), error


def test_a_storage_failure_is_503_and_a_bug_is_500() -> None:
    assert problem_type(request_error(StorageError("disk full"))).status == 503
    assert problem_type(request_error(ValueError("bug"))).status == 500


def test_an_exhausted_quota_reports_its_policy_in_headers() -> None:
    assert headers_of(QuotaExceeded(3)) == {"Retry-After": "3"}
    assert headers_of(QuotaExceeded(3, Quota("visitor", 60, 30))) == {
        "Retry-After": "3",
        "RateLimit-Policy": '"visitor";q=60;w=30',
        "RateLimit": '"visitor";r=0;t=3',
    }
    assert headers_of(QuotaExceeded(7, Quota("uploads of session", 1_000, 86_400, "content-bytes"))) == {
        "Retry-After": "7",
        "RateLimit-Policy": '"uploads of session";q=1000;qu="content-bytes";w=86400',
        "RateLimit": '"uploads of session";r=0;t=7',
    }
