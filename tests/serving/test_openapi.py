"""What the OpenAPI description promises, held against the server with generated requests, right and wrong ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from benchgate.serving.app import create_app
from benchgate.serving.settings import Settings
from tests.serving.fakes import EchoSession, echo
from tests.serving.live import live

described = schemathesis.openapi.from_dict(create_app(lambda: echo(EchoSession()), Settings()).openapi())


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    # No generated body is too long: a 413 is no answer to what is wrong inside one. test_app.py has it.
    with live(max_bytes=2**24) as server:
        yield server.url


@described.parametrize()
@settings(max_examples=50)
def test_no_request_is_a_fault_of_the_server(case, url):
    # A text of spaces or control characters is refused, which JSON Schema has no plain word for.
    response = case.call_and_validate(base_url=url, excluded_checks=[positive_data_acceptance])
    assert response.status_code < 500
