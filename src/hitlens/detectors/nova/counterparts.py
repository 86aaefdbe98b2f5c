"""Three real events of known kind, and simulated events of the same kind and charge to set beside them.

The real events are far-detector simulation of the experiment itself, decoded from published figures. Their
numbers are here, their images are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hitlens.detectors.nova.description import COUNT_MEV, SHAPE
from hitlens.detectors.nova.interactions import Interaction
from hitlens.detectors.nova.measures import ViewMeasures, as_sparse, measure
from hitlens.events import Events, concat
from hitlens.simulate.comparison import PixelMap

if TYPE_CHECKING:
    from hitlens.detectors.nova.simulate import NovaConfig

Float64 = NDArray[np.float64]

#: Counterparts have the total charge of the real event within this share.
CHARGE_WINDOW = 0.25
#: Events simulated to find counterparts in.
_N_BLOCKS = 4


class RealEvent(NamedTuple):
    """What is known of a real event.

    Attributes:
        name: its kind in words.
        interaction: code of its kind.
        settings: settings of the generator that make its kind often.
        hits: of views x and y.
        middle: median pixel of views x and y, counts.
        largest: highest pixel of views x and y, counts.
        total: sum of all pixels, counts.
        length: columns of views x and y, stray hits left out.
        high_percent: share of the hits above 50 MeV.
        strays: hits with no other near, both views.
    """

    name: str
    interaction: int
    settings: dict[str, Any]
    hits: tuple[int, int]
    middle: tuple[float, float]
    largest: tuple[int, int]
    total: int
    length: tuple[int, int]
    high_percent: float
    strays: int


REAL_EVENTS = (
    RealEvent(
        name="numu DIS",
        interaction=Interaction.NUMU_DIS,
        settings={},
        hits=(93, 143),
        middle=(10, 9),
        largest=(103, 42),
        total=2960,
        length=(88, 89),
        high_percent=1.27,
        strays=8,
    ),
    RealEvent(
        name="nue DIS",
        interaction=Interaction.NUE_DIS,
        settings={"nue_fraction": 1.0},
        hits=(126, 144),
        middle=(15, 17),
        largest=(236, 121),
        total=6742,
        length=(30, 30),
        high_percent=12.2,
        strays=14,
    ),
    RealEvent(
        name="NC with neutral pions",
        interaction=Interaction.NC,
        settings={"cross_sections": {"nc_scale": 50.0}},
        hits=(80, 54),
        middle=(8, 10),
        largest=(70, 86),
        total=1880,
        length=(38, 38),
        high_percent=4.48,
        strays=9,
    ),
)


class Counterparts(NamedTuple):
    """Simulated events of the kind and charge of a real one.

    Attributes:
        real: the real event.
        events: the simulated ones.
        x: measures of view x.
        y: measures of view y.
    """

    real: RealEvent
    events: Events
    x: ViewMeasures
    y: ViewMeasures

    @property
    def hits(self) -> NDArray[np.int64]:
        """Hits of both views, shape (event,)."""
        return self.x.hits + self.y.hits

    @property
    def largest(self) -> NDArray[np.int64]:
        """Highest pixel of both views, shape (event,)."""
        return np.maximum(self.x.largest, self.y.largest)

    @property
    def middle(self) -> Float64:
        """Mean of the median pixels of both views, shape (event,)."""
        return (self.x.middle + self.y.middle) / 2

    @property
    def high_percent(self) -> Float64:
        """Share of the hits above 50 MeV, shape (event,)."""
        high = sum((as_sparse(self.events, name) * COUNT_MEV > 50).sum(axis=1) for name in ("x", "y"))
        return 100 * np.asarray(high) / np.maximum(self.hits, 1)

    @property
    def strays(self) -> NDArray[np.int64]:
        """Hits with no other near, both views, shape (event,)."""
        return self.x.strays + self.y.strays


def find_counterparts(config: NovaConfig, real: RealEvent, seed: int = 1) -> Counterparts:
    """Simulate events of the kind of a real one and return those of its charge.

    Args:
        config: every setting; the generator's are changed such that the kind is often.
        real: the real event.
        seed: of the random numbers.
    """
    from hitlens.detectors.nova.generator import GeneratorConfig
    from hitlens.detectors.nova.simulate import simulate_block  # which the comparison is a part of

    settings = _merged(config.generator.model_dump(), real.settings)
    special = config.model_copy(update={"generator": GeneratorConfig.model_validate(settings)})
    made = concat([simulate_block(special, seed, block) for block in range(_N_BLOCKS)])
    of_kind = made.filter(f"interaction = {real.interaction}")
    total = sum(as_sparse(of_kind, view).sum(axis=1, dtype=np.int64) for view in ("x", "y"))
    events = of_kind.select(np.flatnonzero(np.abs(total - real.total) < CHARGE_WINDOW * real.total))
    measures = measure(events)
    return Counterparts(real, events, measures["x"], measures["y"])


def _merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    return base | {
        name: _merged(base[name], value) if isinstance(value, dict) else value
        for name, value in change.items()
    }


def draw_pairs(counterparts: tuple[Counterparts, ...], decoded: Events | None) -> tuple[PixelMap, ...]:
    """Return images of real events and of a simulated one beside each; only simulated ones without any real.

    Args:
        counterparts: of the three real events.
        decoded: the real events, or None.
    """
    pictures: list[PixelMap] = []
    for part in counterparts:
        kind = part.real.name
        if decoded is not None:
            found = np.flatnonzero(decoded.truth["interaction"].to_numpy() == part.real.interaction)
            pictures += [p for i in found[:1] for p in _images(decoded, int(i), f"real {kind}")]
        if len(part.events):
            chosen = _most_alike(part)
            energy = part.events.truth["nuenergy"][chosen]
            pictures += _images(part.events, chosen, f"simulated {kind}, {energy:.1f} GeV")
    return tuple(pictures)


def _most_alike(part: Counterparts) -> int:
    """Return the event whose hits and length by view are most like those of the real one."""
    real = part.real
    hits = np.stack([part.x.hits, part.y.hits]) / np.array(real.hits)[:, np.newaxis]
    length = np.stack([part.x.length, part.y.length]) / np.array(real.length)[:, np.newaxis]
    distance = (np.log(np.maximum(np.concatenate([hits, length]), 0.1)) ** 2).sum(axis=0)
    if real.interaction == Interaction.NC:  # two showers are what it is shown for
        showers = part.events.truth["finalstate"].to_numpy() % 4
        distance = distance + np.where(showers == 2, 0.0, 0.2)
    return int(distance.argmin())


def _images(events: Events, which: int, name: str) -> list[PixelMap]:
    return [
        PixelMap(
            name,
            "counts",
            as_sparse(events, view)[[which]].toarray().reshape(SHAPE).astype(np.float64),
            logarithmic=True,
            view=view,
        )
        for view in ("x", "y")
    ]
