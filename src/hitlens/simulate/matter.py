"""What particles pass through: a homogeneous material, and the energy that charged particles lose in it.

Energy loss is Bethe's formula, scaled so that a minimum-ionising particle loses what is measured in the
detector; muons lose more at high energies by radiation. Lengths in cm, energies in MeV.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

Float64 = NDArray[np.float64]

#: Kinds of particles the transport knows, by what they do; signs of charge do not matter to it.
MUON, PION, KAON, PROTON, ELECTRON, PHOTON, NEUTRON, NEUTRAL_PION, NEUTRAL_KAON = range(9)
#: Rest mass by kind, MeV (Review of Particle Physics).
MASSES_MEV = np.array([105.658, 139.570, 493.677, 938.272, 0.511, 0.0, 939.565, 134.977, 497.611])
#: Kinds that ionise along their whole way, in the order of the rows of the energy-loss table.
N_IONISING = 4

_ELECTRON_MEV = 0.510999
#: Range and fineness of the energy-loss table, in the logarithm of the kinetic energy in MeV.
LOG_LOW, LOG_STEP, N_ENERGIES = np.log(0.5), 0.05, 262


class Matter(BaseModel):
    """A homogeneous material, as a segmented detector is one on average.

    Attributes:
        minimum_loss_mev_per_cm: energy loss of a minimum-ionising particle.
        excitation_ev: mean excitation energy.
        radiation_length_cm: X0.
        critical_energy_mev: energy at which an electron loses as much by radiation as by ionisation.
        moliere_radius_cm: scale of the width of electromagnetic showers.
        interaction_length_cm: mean way of a hadron to its interaction.
        muon_radiation_per_cm: b of a muon's mean loss by radiation, b E; half of it in hard photons.
        delta_ray_mev: knock-on electrons above this energy leave the track; 0 turns them off.
        straggling: relative spread of the energy lost in 1 cm.
        birks_cm_per_mev: k_B of the light lost where ionisation is dense.

    Examples:
        >>> matter = Matter()
        >>> bool(1.8 < energy_loss(matter, MUON, 300.0) < energy_loss(matter, MUON, 20.0))
        True
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    minimum_loss_mev_per_cm: PositiveFloat = 1.94
    excitation_ev: PositiveFloat = 75.0
    radiation_length_cm: PositiveFloat = 38.0
    critical_energy_mev: PositiveFloat = 85.0
    moliere_radius_cm: PositiveFloat = 11.0
    interaction_length_cm: PositiveFloat = 80.0
    muon_radiation_per_cm: float = Field(default=2.0e-6, ge=0)
    delta_ray_mev: float = Field(default=6.0, ge=0)
    straggling: float = Field(default=0.5, ge=0, lt=2)
    birks_cm_per_mev: float = Field(default=0.0125, ge=0)


class MatterConstants(NamedTuple):
    """The numbers of a `Matter` in the form the compiled kernels take.

    Attributes:
        loss: energy loss by kind and energy, MeV / cm, without knock-on electrons that leave the track,
            shape (kind, energy); see `LOG_LOW` and `LOG_STEP`.
        delta_rate: knock-on electrons that leave the track, a cm, by kind and energy, the same shape.
        delta_top: their highest energy, MeV, the same shape.
    """

    loss: Float64
    delta_rate: Float64
    delta_top: Float64
    minimum_loss: float
    radiation_length: float
    critical_energy: float
    moliere_radius: float
    interaction_length: float
    hard_radiation: float
    delta_ray: float
    straggling: float
    birks: float


def constants(matter: Matter) -> MatterConstants:
    """Return a material in the form the compiled kernels take."""
    kinetic = np.exp(LOG_LOW + LOG_STEP * np.arange(N_ENERGIES))
    loss, rate, top = (np.zeros((N_IONISING, N_ENERGIES)) for _ in range(3))
    for kind in range(N_IONISING):
        loss[kind] = energy_loss(matter, kind, kinetic)
        top[kind] = highest_transfer(kind, kinetic)
        if matter.delta_ray_mev:
            rate[kind], lost = _delta_rays(matter, kind, kinetic, top[kind])
            loss[kind] -= lost
    return MatterConstants(
        loss=loss,
        delta_rate=rate,
        delta_top=top,
        minimum_loss=matter.minimum_loss_mev_per_cm,
        radiation_length=matter.radiation_length_cm,
        critical_energy=matter.critical_energy_mev,
        moliere_radius=matter.moliere_radius_cm,
        interaction_length=matter.interaction_length_cm,
        hard_radiation=matter.muon_radiation_per_cm / 2,
        delta_ray=matter.delta_ray_mev,
        straggling=matter.straggling,
        birks=matter.birks_cm_per_mev,
    )


def energy_loss(matter: Matter, kind: int, kinetic_mev: Float64 | float) -> Float64:
    """Return the mean energy loss, MeV / cm; of a muon with the soft half of its radiation.

    Args:
        matter: the material.
        kind: `MUON`, `PION`, `KAON` or `PROTON`.
        kinetic_mev: kinetic energies.
    """
    kinetic = np.asarray(kinetic_mev, dtype=np.float64)
    gamma = 1.0 + kinetic / MASSES_MEV[kind]
    shape = _bethe(matter, gamma, highest_transfer(kind, kinetic))
    least = _bethe(matter, np.array(3.5), highest_transfer(MUON, np.array(2.5 * MASSES_MEV[MUON])))
    loss: Float64 = matter.minimum_loss_mev_per_cm * shape / least
    if kind == MUON:
        loss = loss + matter.muon_radiation_per_cm / 2 * (kinetic + MASSES_MEV[kind])
    return loss


def mean_range_cm(matter: Matter, kind: int, kinetic_mev: float) -> float:
    """Return how far a particle comes on average until it stops, cm; arguments as `energy_loss`.

    Examples:
        >>> bool(24 < mean_range_cm(Matter(), PROTON, 200.0) < 30)
        True
    """
    kinetic = np.geomspace(1.0, kinetic_mev, 400)
    steps = np.diff(kinetic) / np.sqrt(
        energy_loss(matter, kind, kinetic[1:]) * energy_loss(matter, kind, kinetic[:-1])
    )
    return float(steps.sum())


def highest_transfer(kind: int, kinetic_mev: Float64) -> Float64:
    """Return the highest energy a particle can give to one electron, MeV; arguments as `energy_loss`."""
    mass = MASSES_MEV[kind]
    gamma = 1.0 + kinetic_mev / mass
    ratio = _ELECTRON_MEV / mass
    top: Float64 = 2 * _ELECTRON_MEV * (gamma**2 - 1) / (1 + 2 * gamma * ratio + ratio**2)
    return top


def _bethe(matter: Matter, gamma: Float64, top: Float64) -> Float64:
    """Return Bethe's bracket over beta squared, with the density effect at high energies."""
    beta2 = 1.0 - 1.0 / gamma**2
    excitation = matter.excitation_ev * 1e-6
    bracket = 0.5 * np.log(2 * _ELECTRON_MEV * (gamma**2 - 1) * top / excitation**2) - beta2
    momentum = np.sqrt(gamma**2 - 1)  # over mass
    plasma = 21.5e-6  # hbar omega_p, MeV
    limit = np.log(np.maximum(plasma * momentum / excitation, 1e-9)) - 0.5
    bracket -= np.maximum(limit, 0.0)
    result: Float64 = np.maximum(bracket, 0.8) / beta2
    return result


def _delta_rays(matter: Matter, kind: int, kinetic: Float64, top: Float64) -> tuple[Float64, Float64]:
    """Return knock-on electrons above the threshold a cm, and the energy they take, MeV / cm."""
    gamma = 1.0 + kinetic / MASSES_MEV[kind]
    beta2 = 1.0 - 1.0 / gamma**2
    low = matter.delta_ray_mev
    scale = 0.0826 / beta2  # 0.1535 MeV cm2 / g, times Z / A and the density
    over = np.maximum(top / low, 1.0)
    return scale * (1 / low - 1 / (low * over)), scale * np.log(over)
