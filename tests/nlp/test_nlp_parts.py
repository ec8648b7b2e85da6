"""How a task's rows are divided."""

from __future__ import annotations

import pytest

from molweight.errors import ConfigError
from molweight.nlp.parts import CarveConfig, carve


def test_training_rows_can_be_fewer_and_validation_stays():
    whole = carve(500, 40, CarveConfig(valid=0.2, seed=3), meta=None, seed=0)
    small = carve(500, 40, CarveConfig(valid=0.2, seed=3, train=60), meta=None, seed=0)
    assert whole.sizes() == {"train": 400, "meta": 0, "valid": 100, "test": 40}
    assert small.sizes() == {"train": 60, "meta": 0, "valid": 100, "test": 40}
    assert small.valid.tolist() == whole.valid.tolist() and small.test.tolist() == whole.test.tolist()
    assert set(small.train.tolist()) < set(whole.train.tolist())
    more = carve(500, 40, CarveConfig(valid=0.2, seed=3, train=90), meta=None, seed=0)
    assert set(small.train.tolist()) < set(more.train.tolist()), "rows are added, not drawn anew"
    assert max(small.train.tolist()) > 200, "not the first ones"
    assert (
        carve(500, 40, CarveConfig(valid=0.2, seed=3, train=900), meta=None, seed=0).sizes()["train"] == 400
    )


def test_meta_is_carved_out_of_those():
    parts = carve(500, 40, CarveConfig(valid=0.2, seed=3, train=60), meta=0.25, seed=0)
    assert parts.sizes() == {"train": 45, "meta": 15, "valid": 100, "test": 40}


@pytest.mark.parametrize("changes", [{"train": 9}, {"train": -1}, {"valid": 0.0}])
def test_what_makes_no_parts_is_refused(changes):
    with pytest.raises(ConfigError, match=r"split\.(train|valid) must be"):
        CarveConfig(**({"valid": 0.2, "seed": 0} | changes))
