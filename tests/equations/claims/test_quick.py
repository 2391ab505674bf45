"""The quick tier, run: what is committed as reproduced reproduces here."""

from pathlib import Path

import pytest

from operant import claims
from operant.claims import NOT_REPRODUCED, REPRODUCED, Measured, Result
from operant.claims._samples import still

RESULTS = Path(__file__).parents[3] / "claims" / "results"
LONGEST = 12.0
"""CPU seconds a claim may have taken to be run again here; of longer ones the stored result is held to the claim."""
QUICK = [
    pytest.param(method, c, id=f"{method}-{c.name}", marks=[pytest.mark.slow] if method != "potential" else [])
    for method in claims.methods()
    for c in claims.claims_of(method, "quick")
]


@pytest.fixture(scope="module")
def measured():
    return Measured()


@pytest.mark.parametrize(("method", "claim"), QUICK)
def test_a_quick_claim_holds(method, claim, measured):
    stored = {o.name: o for o in Result.read(RESULTS, method, "quick").outcomes}
    assert claim.name in stored, f"run scripts/claims --tier quick --only {method}/{claim.name}, and commit the result"
    assert still(stored[claim.name].claim, claim.plain()), (
        f"{method}/{claim.name} changed since it was run: run it again"
    )
    if stored[claim.name].verdict == NOT_REPRODUCED:
        pytest.skip("committed as not reproduced")
    if (took := stored[claim.name].cpu_seconds) > LONGEST:
        pytest.skip(f"took {took:.0f} CPU seconds: scripts/claims --tier quick --again --only {method}/{claim.name}")
    assert claim.run(measured=measured).verdict == REPRODUCED


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda p: p.name)
def test_committed_results_speak_of_claims_there_are(path):
    method, tier = path.stem.rsplit("-", 1)
    result = Result.read(RESULTS, method, tier)
    names = [c.name for c in claims.claims_of(method, tier)]
    assert [o.name for o in result.outcomes] == [name for name in names if name in {o.name for o in result.outcomes}]
    for o in result.outcomes:
        assert len(o.subject) >= 3 and o.versions["jax"] and o.date and o.device
