"""Light of a cell through its fibre to the readout: attenuation, photo-electrons, threshold, calibration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

Float64 = NDArray[np.float64]

#: Cells with less than this share of the threshold are not looked at: they would pass by a miracle.
_HOPELESS = 0.15


class Fibre(BaseModel):
    """A wavelength-shifting fibre with a short and a long attenuation length.

    Attributes:
        photo_electrons_per_mev: of a deposit right at the readout.
        short_share: share of the light with the short attenuation length.
        short_cm: short attenuation length.
        long_cm: long attenuation length.

    Examples:
        >>> fibre = Fibre(photo_electrons_per_mev=16)
        >>> bool(transmission(fibre, np.array(0.0)) == 1.0), float(transmission(fibre, 1500.0).round(2))
        (True, 0.17)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    photo_electrons_per_mev: PositiveFloat
    short_share: float = Field(default=0.35, ge=0, le=1)
    short_cm: PositiveFloat = 250.0
    long_cm: PositiveFloat = 1100.0


def transmission(fibre: Fibre, distance_cm: Float64 | float) -> Float64:
    """Return the share of light that arrives over a distance; arguments of any shape."""
    distance = np.asarray(distance_cm, dtype=np.float64)
    short = fibre.short_share * np.exp(-distance / fibre.short_cm)
    result: Float64 = short + (1 - fibre.short_share) * np.exp(-distance / fibre.long_cm)
    return result


def read_out(
    fibre: Fibre,
    light_mev: Float64,
    distance_cm: Float64,
    threshold_pe: float,
    rng: np.random.Generator,
    gain: Float64 | float = 1.0,
    attenuation_scale: float = 1.0,
) -> Float64:
    """Return the calibrated energy of cells, MeV; 0 for those below threshold.

    The calibration knows the fibre as it should be, the distance to the readout and the gain of each cell.

    Args:
        fibre: the fibre.
        light_mev: energy that made light, shape (cell,).
        distance_cm: to the readout, shape (cell,).
        threshold_pe: photo-electrons below which nothing is recorded.
        rng: random stream.
        gain: times the light yield, shape (cell,); not 0.
        attenuation_scale: times the attenuation that light suffers, not the one that is corrected for.

    Examples:
        >>> fibre, rng = Fibre(photo_electrons_per_mev=16), np.random.default_rng(1)
        >>> seen = read_out(fibre, np.full(9, 8.0), np.full(9, 100.0), 17, rng)
        >>> bool((abs(seen - 8.0) < 3).all())
        True
    """
    yields = np.broadcast_to(fibre.photo_electrons_per_mev * gain, light_mev.shape)
    mean = yields * light_mev * transmission(fibre, distance_cm * attenuation_scale)
    looked_at = mean > _HOPELESS * threshold_pe
    energy = np.zeros(len(light_mev))
    counts = rng.poisson(mean[looked_at]).astype(np.float64)
    counts[counts < threshold_pe] = 0.0
    energy[looked_at] = counts / (yields[looked_at] * transmission(fibre, distance_cm[looked_at]))
    return energy
