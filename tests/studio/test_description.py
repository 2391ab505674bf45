"""The API does what its description says: schemathesis makes up requests and checks the replies against it."""

import base64

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from operant.studio.openapi import description

NAME = base64.urlsafe_b64encode(b"Fuzz").decode().rstrip("=")
CALLS = [(path, way) for path, ways in description()["paths"].items() for way in ways if not path.endswith("/events")]


def hold(operation, mode) -> int:
    """Make up requests of one operation, well or badly formed; how many there were."""
    tried = 0

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case):
        nonlocal tried
        tried += 1
        case.call_and_validate(cookies={"operant_name": NAME})

    check()
    return tried


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_replies_are_as_described(studio, mode):
    schema = schemathesis.openapi.from_url(studio().url + "/api/openapi.json")
    tried = 0
    for path, way in CALLS:
        operation = schema[path][way.upper()]
        if mode is GenerationMode.POSITIVE or operation.body or operation.path_parameters:  # else nothing to get wrong
            tried += hold(operation, mode)
    assert tried > 60


def test_every_route_of_the_api_is_described(make_app):
    routes = {r.path.replace(":int", "") for r in make_app().routes if r.path.startswith("/api/")}
    assert routes == set(description()["paths"])
