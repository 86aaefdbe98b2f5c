"""Made DUNE events."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import sparse

from hitlens.detectors.dune.description import NC, SHAPE, VIEWS
from hitlens.detectors.dune.truth import TYPES, truth_table
from hitlens.events import Events


@pytest.fixture(scope="session")
def make_dune() -> Callable[..., Events]:
    """Make events of random pixels with legal truth, the flavours in turn: ``make_dune(n_events, seed)``."""

    def make(n_events: int, seed: int = 1) -> Events:
        rng = np.random.default_rng(seed)
        n_pixels = SHAPE[0] * SHAPE[1]
        images = {}
        for view in VIEWS:
            places = [np.sort(rng.choice(n_pixels, 20, replace=False)) for _ in range(n_events)]
            indptr = np.arange(n_events + 1, dtype=np.int32) * 20
            values = rng.integers(1, 256, n_events * 20).astype(np.uint8)
            indices = np.concatenate(places).astype(np.int32)
            images[view.name] = sparse.csr_array((values, indices, indptr), shape=(n_events, n_pixels))
        columns = {name: rng.integers(0, 4, n_events).astype(np.float64) for name in TYPES}
        flavour = np.arange(n_events) % 4
        energy = rng.lognormal(1.5, 0.5, n_events).round(3)
        columns |= {"flavour": flavour.astype(np.float64), "nu_energy_gev": energy}
        columns |= {"lep_energy_gev": (energy * 0.5).round(3)}
        columns["nu_pdg"] = np.where(flavour == NC, 1, np.array([14, 12, 16, 1])[flavour]).astype(np.float64)
        return Events(images, truth_table("made", np.arange(n_events), columns), "dune")

    return make
