"""Every setting of the CeBr simulator, with defaults from the shipped ``response.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from pydantic import Field, PositiveFloat, field_validator, model_validator

from hitlens.detector import Description
from hitlens.settings import read_yaml
from hitlens.simulate.light import Float64, LightModel

Range = tuple[float, float]


class Sample(Description):
    """Which events are made.

    Attributes:
        single_fraction: chance of an event to be a single.
        energy_1_mev: range of the first electron's energy, uniform.
        energy_2_mev: range of the second electron's energy, uniform.
        position_px: range of positions on both axes, uniform.
        separation_px: keep only pairs whose distance lies in this range; None keeps all.
    """

    single_fraction: float = Field(ge=0, le=1)
    energy_1_mev: Range
    energy_2_mev: Range
    position_px: Range
    separation_px: Range | None

    @field_validator("energy_1_mev", "energy_2_mev", "position_px", "separation_px")
    @classmethod
    def _ordered(cls, value: Range | None) -> Range | None:
        if value is not None and not 0 <= value[0] < value[1]:
            raise ValueError(f"must be [low, high] with 0 <= low < high. Got {list(value)}")
        return value

    @model_validator(mode="after")
    def _possible(self) -> Sample:
        diagonal = float(np.sqrt(2) * (self.position_px[1] - self.position_px[0]))
        if self.separation_px is not None and self.separation_px[0] >= diagonal:
            raise ValueError(
                f"separation_px must start below the diagonal of the area, {diagonal:.2f} px. "
                f"Got {list(self.separation_px)}"
            )
        return self


class Electron(Description):
    """How an electron turns into light.

    Attributes:
        photons_per_mev: light yield.
        yield_spread: relative standard deviation of the yield from electron to electron.
        lateral_shift_px_per_mev: standard deviation of the deposit's displacement, on each axis.
        depth_shift_px_per_mev: scale of the one-sided depth shift u = -|N(0, scale)| * E.
    """

    photons_per_mev: PositiveFloat
    yield_spread: float = Field(ge=0, lt=0.3)
    lateral_shift_px_per_mev: float = Field(ge=0)
    depth_shift_px_per_mev: float = Field(ge=0)


class Bremsstrahlung(Description):
    """Photons an electron radiates and where they end.

    Attributes:
        amplitude_per_mev: A of the spectrum A (E - k) / k dk; 0 turns radiation off.
        threshold_mev: lowest photon energy.
        thickness_px: of the crystal; photons start in the middle.
        active_px: range on both axes in which an absorbed photon gives light.
        pitch_cm: size of a pixel.
        attenuation_energy_mev: energies of the attenuation table, ascending.
        attenuation_per_cm: attenuation coefficients mu at those energies.
    """

    amplitude_per_mev: float = Field(ge=0)
    threshold_mev: PositiveFloat
    thickness_px: PositiveFloat
    active_px: Range
    pitch_cm: PositiveFloat
    attenuation_energy_mev: tuple[PositiveFloat, ...]
    attenuation_per_cm: tuple[PositiveFloat, ...]

    @model_validator(mode="after")
    def _table(self) -> Bremsstrahlung:
        energies = self.attenuation_energy_mev
        if len(energies) != len(self.attenuation_per_cm) or list(energies) != sorted(set(energies)):
            raise ValueError("the attenuation table must have ascending energies and one value for each")
        return self

    def attenuation_per_px(self, energy_mev: Float64) -> Float64:
        """Return mu per pixel at these energies, interpolated in both logarithms."""
        log_mu = np.interp(
            np.log(energy_mev), np.log(self.attenuation_energy_mev), np.log(self.attenuation_per_cm)
        )
        mu: Float64 = np.exp(log_mu) * self.pitch_cm
        return mu


class Nuisance(Description):
    """Departures from the response, by name; the defaults change nothing.

    Attributes:
        light_yield_scale: times the light yield.
        width_scale: times both depths.
        width_shift_px: added to both depths.
        reflectivity_scale: times the reflectivity of the walls, which stays at most 1.
        shift_x_px: displacement of the image along rows.
        shift_y_px: displacement of the image along columns.
        pixel_gain_spread: relative spread of fixed gains, one a pixel, drawn from the seed.
        noise_photons: standard deviation of Gaussian noise added to each pixel.
        background_photons: mean photons in every pixel besides the electrons' light.
    """

    light_yield_scale: PositiveFloat
    width_scale: PositiveFloat
    width_shift_px: float
    reflectivity_scale: float = Field(ge=0)
    shift_x_px: float
    shift_y_px: float
    pixel_gain_spread: float = Field(ge=0, lt=0.3)
    noise_photons: float = Field(ge=0)
    background_photons: float = Field(ge=0)


class SimulationConfig(Description):
    """Every setting of the CeBr simulator; what is not given comes from the shipped ``response.yaml``.

    Attributes:
        response: set of defaults: "m2", or "m2t" with the light model of that name.
        sample: which events are made.
        light: mean image of a point deposit.
        electron: how an electron turns into light.
        bremsstrahlung: photons it radiates.
        dead_pixels: [ix, iy] of pixels that always read 0.
        nuisance: departures from the response.

    Examples:
        >>> config = SimulationConfig.model_validate({"sample": {"single_fraction": 1.0}})
        >>> config.sample.single_fraction, config.electron.photons_per_mev
        (1.0, 59300.0)
    """

    response: Literal["m2", "m2t"]
    sample: Sample
    light: LightModel
    electron: Electron
    bremsstrahlung: Bremsstrahlung
    dead_pixels: tuple[tuple[int, int], ...]
    nuisance: Nuisance

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        return _merge(_shipped(str(data.get("response", "m2"))), data) if isinstance(data, Mapping) else data

    @model_validator(mode="after")
    def _inside(self) -> SimulationConfig:
        for ix, iy in self.dead_pixels:
            if not (0 <= ix < self.light.shape[0] and 0 <= iy < self.light.shape[1]):
                raise ValueError(f"dead_pixels must lie in the {self.light.shape} image. Got [{ix}, {iy}]")
        change = self.nuisance
        low = min(self.light.depth_1, self.light.depth_2) * change.width_scale + change.width_shift_px
        if low <= 0:
            raise ValueError(f"the nuisance parameters must leave both depths positive. Got {low:.3g} px")
        return self

    @property
    def effective_light(self) -> LightModel:
        """The light model with the nuisance parameters applied."""
        change = self.nuisance
        return self.light.model_copy(
            update={
                "depth_1": self.light.depth_1 * change.width_scale + change.width_shift_px,
                "depth_2": self.light.depth_2 * change.width_scale + change.width_shift_px,
                "reflectivity": min(1.0, self.light.reflectivity * change.reflectivity_scale),
            }
        )


@cache
def _shipped(response: str) -> dict[str, Any]:
    folder = files("hitlens.detectors.cebr")
    content = read_yaml(folder.joinpath("response.yaml").read_text(encoding="utf-8"), "response.yaml")
    if response == "m2t":
        name = "response_m2t.yaml"
        content = _merge(content, read_yaml(folder.joinpath(name).read_text(encoding="utf-8"), name))
    return content


def _merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return base with the values of change, section by section."""
    merged = dict(base)
    for name, value in change.items():
        inner = merged.get(name)
        merged[name] = (
            _merge(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
        )
    return merged
