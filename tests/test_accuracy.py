"""What the pipeline may cost in accuracy, on small simulated worlds; `make accuracy` measures large ones.

The floors lie below what was measured on these worlds, and the figures of docs/accuracy.md are those of others.
"""

import pytest

from tests.simulator.accuracy import YEARS, measure
from tests.simulator.profile import PROFILES
from tests.simulator.simulate import simulate

PERSONS = 400
FLOORS = {
    # profile: pairwise precision, below the bound's recall by, share of persons mixed, customers above the bound
    "base": (0.998, 0.006, 0.017, 0.09),  # measured .99900, .00420, .01364, .0795
    "notification": (0.999, 0.006, 0.007, 0.14),  # .99995, .00404, .00449, .1220
    "support": (0.999, 0.006, 0.007, 0.05),  # .99991, .00490, .00461, .0392
    "marketing": (0.997, 0.008, 0.016, 0.12),  # .99803, .00626, .01290, .1054
    "hostile": (0.999, 0.004, 0.012, 0.08),  # .99989, .00219, .00905, .0701
}


@pytest.fixture(scope="session")
def scores(request, tmp_path_factory):
    """Scores of the pipeline, the bound and the baselines in each profile."""

    def of(profile: str, seed: int) -> dict:
        folder = tmp_path_factory.mktemp(f"{profile}-{seed}")
        simulate(PROFILES[profile], PERSONS, YEARS, seed, folder / "simulated")
        (measured, _), *_ = measure(folder / "simulated", folder / "build", [{}])
        return {system: groups["all"] for system, groups in measured.items()}

    return of


@pytest.mark.parametrize("seed", [1, 2])
def test_where_everything_is_delivered_nobody_is_mixed_or_split(scores, seed):
    pipeline = scores("calm", seed)["pipeline"]
    assert (pipeline.mixed_persons, pipeline.split_persons, pipeline.unassigned) == (0, 0, 0)


@pytest.mark.parametrize("profile", sorted(FLOORS))
def test_accuracy_stays_above_its_floor(scores, profile):
    precision, lost_recall, mixed, above = FLOORS[profile]
    found = scores(profile, 3)
    pipeline, bound = found.pop("pipeline"), found.pop("oracle bound")
    assert pipeline.pair_precision >= precision
    assert pipeline.pair_recall >= bound.pair_recall - lost_recall
    assert pipeline.mixed_persons <= mixed
    assert pipeline.customers_per_person <= bound.customers_per_person + above
    for name, baseline in found.items():
        assert pipeline.b3_f1 > baseline.b3_f1, name
