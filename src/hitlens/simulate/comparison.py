"""Simulated events beside real ones: numbers with tolerances, spectra, maps and fitted real events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Quantity:
    """One number of the real events beside ours.

    Attributes:
        name: what it is.
        real: value of the real events.
        ours: value of the simulated ones.
        error: statistical standard error of ours.
        tolerance: largest difference that counts as agreement.
        basis: where the tolerance comes from.
        unit: unit of all of them.
        known: why it disagrees, where that is known and stated; empty otherwise.

    Examples:
        >>> Quantity("mean pixel", real=104.9, ours=104.6, error=0.2, tolerance=0.6, basis="0.5 %").verdict
        'agrees'
    """

    name: str
    real: float
    ours: float
    error: float
    tolerance: float
    basis: str
    unit: str = ""
    known: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the difference is within the tolerance."""
        return bool(abs(self.ours - self.real) <= self.tolerance)

    @property
    def verdict(self) -> Literal["agrees", "disagrees", "disagrees as stated"]:
        """Agreement in words; "as stated" where the disagreement is a known one."""
        if self.agrees:
            return "agrees"
        return "disagrees as stated" if self.known else "disagrees"


@dataclass(frozen=True, eq=False)
class Spectrum:
    """A curve of the simulated events with real values beside it.

    Attributes:
        name: what is counted.
        x_label: quantity and unit of the x axis.
        y_label: meaning of the y axis.
        x: where the curve is given, shape (step,).
        y: its values, shape (step,).
        real_x: positions of the real values, shape (point,).
        real_y: the real values, shape (point,).
        logarithmic: whether the y axis is.
    """

    name: str
    x_label: str
    y_label: str
    x: Float64
    y: Float64
    real_x: Float64
    real_y: Float64
    logarithmic: bool = False


@dataclass(frozen=True, eq=False)
class PixelMap:
    """A value for each pixel.

    Attributes:
        name: what it is.
        label: quantity and unit of the colour scale.
        values: shape (row, col).
        logarithmic: whether the colour scale is.
        view: name of the view; the detector's first where it is empty.
    """

    name: str
    label: str
    values: Float64
    logarithmic: bool = False
    view: str = ""


@dataclass(frozen=True, eq=False)
class FittedEvent:
    """A real event fitted with the response.

    Attributes:
        name: file and number of the event.
        image: photon counts, shape (row, col).
        expected: fitted mean image, shape (row, col).
        deviance: Poisson deviance.
        dof: pixels less fitted parameters.
        pulls: (fitted - true) / error by truth column.
    """

    name: str
    image: Float64
    expected: Float64
    deviance: float
    dof: int
    pulls: dict[str, float]

    @property
    def residuals(self) -> Float64:
        """(count - expected) / sqrt(expected) for each pixel."""
        residuals: Float64 = (self.image - self.expected) / np.sqrt(np.maximum(self.expected, 1e-9))
        return residuals


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything a comparison page shows.

    Attributes:
        detector: name of the detector.
        n_events: simulated events.
        settings: every setting of the simulator.
        quantities: numbers beside the real ones.
        spectra: curves with the real values.
        maps: maps of the simulated events.
        examples: single events worth a look.
        examples_title: what the examples are.
        examples_meaning: what there is to see in them.
        fitted: real events fitted with the response; empty where none were at hand.
        reference_deviance: per degree of freedom, of simulated singles in the same fit, shape (event,).
    """

    detector: str
    n_events: int
    settings: dict[str, Any]
    quantities: tuple[Quantity, ...]
    spectra: tuple[Spectrum, ...]
    maps: tuple[PixelMap, ...]
    examples: tuple[PixelMap, ...] = ()
    examples_title: str = "Single events"
    examples_meaning: str = ""
    fitted: tuple[FittedEvent, ...] = ()
    reference_deviance: Float64 = field(default_factory=lambda: np.empty(0))

    @property
    def surprises(self) -> tuple[Quantity, ...]:
        """Quantities that disagree without a stated reason."""
        return tuple(q for q in self.quantities if q.verdict == "disagrees")
