"""What leaves a neutrino interaction: truth of the interactions and the particles in the final state.

Two flat records, made by `hitlens.detectors.nova.generator.generate` and propagated by the simulator:

- `Interactions`, one entry an interaction: ``interaction`` (code 0-15), ``nu_pdg``, ``nu_energy_gev``,
  ``lep_energy_gev``, ``q2_gev2``, ``w_gev``, ``bjorken_x``, ``inelasticity``, ``target_pdg``.
- `Particles`, one entry a particle: ``event``, ``pdg``, ``px``, ``py``, ``pz``; with the properties
  ``mass_gev``, ``energy_gev``, ``kinetic_gev`` and ``momentum_gev``. Particles are ordered by event; those of
  event i are ``offsets(n)[i]`` to ``offsets(n)[i + 1]``.

Where a quantity has no meaning (W of a cosmic muon) it is NaN; energies without meaning are 0, as in the
files: both energies of codes 14 and 15.

Every particle is one that a detector can meet: e+-, mu+-, gamma, pi0 (not decayed), pi+-, K+-, K0 (as K0L or
K0S), p, n and their antiparticles, and the outgoing neutrino of a neutral current. A tau is decayed.
Axes: z along the beam, x and y across it, GeV/c; a cosmic muon comes from above, y pointing up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hitlens.simulate.particle_data import masses_gev

Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Interactions:
    """Truth of interactions, one entry each.

    Attributes:
        interaction: code 0-15, as in the files; 3, 7 and 11 are Other, shape (event,).
        nu_pdg: PDG code of the neutrino; 0 for cosmic events, shape (event,).
        nu_energy_gev: energy of the neutrino; 0 for codes 14 and 15, shape (event,).
        lep_energy_gev: total energy of the outgoing lepton, in a neutral current the neutrino's; 0 for codes
            14 and 15, shape (event,).
        q2_gev2: momentum transfer squared; NaN where there is none, shape (event,).
        w_gev: invariant mass of the hadrons; NaN where there is none, shape (event,).
        bjorken_x: Q2 / 2 M nu; NaN where there is none, shape (event,).
        inelasticity: 1 - lepton over neutrino energy; NaN for codes 14 and 15, shape (event,).
        target_pdg: struck nucleon (2212 or 2112), 11 for nu-e elastic, 0 where there is none, shape (event,).
    """

    interaction: NDArray[np.uint8]
    nu_pdg: NDArray[np.int32]
    nu_energy_gev: Float64
    lep_energy_gev: Float64
    q2_gev2: Float64
    w_gev: Float64
    bjorken_x: Float64
    inelasticity: Float64
    target_pdg: NDArray[np.int32]

    def __len__(self) -> int:
        """Return the number of interactions."""
        return len(self.interaction)


@dataclass(frozen=True, eq=False)
class Particles:
    """Particles that leave the nucleus, ordered by event.

    Attributes:
        event: index of the interaction, never decreasing, shape (particle,).
        pdg: PDG code, shape (particle,).
        px: horizontal momentum across the beam, GeV/c, shape (particle,).
        py: vertical momentum, up, GeV/c, shape (particle,).
        pz: momentum along the beam, GeV/c, shape (particle,).

    Examples:
        >>> pion = Particles(np.array([0]), np.array([211], np.int32), *np.array([[0.3], [0.0], [0.4]]))
        >>> round(float(pion.energy_gev[0]), 3), round(float(pion.kinetic_gev[0]), 3)
        (0.519, 0.38)
    """

    event: NDArray[np.int64]
    pdg: NDArray[np.int32]
    px: Float64
    py: Float64
    pz: Float64

    def __len__(self) -> int:
        """Return the number of particles."""
        return len(self.event)

    def offsets(self, n_events: int) -> NDArray[np.int64]:
        """Return where each event's particles start, shape (n_events + 1,)."""
        return np.searchsorted(self.event, np.arange(n_events + 1)).astype(np.int64)

    @property
    def mass_gev(self) -> Float64:
        """Rest masses, shape (particle,)."""
        return masses_gev(self.pdg)

    @property
    def momentum_gev(self) -> Float64:
        """Size of the momentum, GeV/c, shape (particle,)."""
        momentum: Float64 = np.sqrt(self.px**2 + self.py**2 + self.pz**2)
        return momentum

    @property
    def energy_gev(self) -> Float64:
        """Total energies, shape (particle,)."""
        energy: Float64 = np.sqrt(self.px**2 + self.py**2 + self.pz**2 + self.mass_gev**2)
        return energy

    @property
    def kinetic_gev(self) -> Float64:
        """Kinetic energies, shape (particle,)."""
        kinetic: Float64 = self.energy_gev - self.mass_gev
        return kinetic
