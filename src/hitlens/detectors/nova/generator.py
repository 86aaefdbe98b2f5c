"""Neutrino interactions from a spectrum to the particles that leave the nucleus, all events at once.

`generate` draws, in this order: kind of event; flavour, energy and process; struck nucleon and kinematics;
hadrons; their way out of the nucleus; decays of taus. It draws what happens in the detector, before any
selection: the default shares are chosen such that events with at least 20 hits follow the truth laws.

Code 15, whose neutrino the files do not know, stands for pieces of interactions: half are the muon of a
charged-current interaction in the rock, half the hadrons without the lepton. Both energies are 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hitlens.detector import Description
from hitlens.detectors.nova.cross_sections import (
    CrossSectionConfig,
    Process,
    charged_current,
    draw_process,
    electron_elastic,
    neutral_current,
)
from hitlens.detectors.nova.flux import FluxConfig, draw_energies
from hitlens.detectors.nova.hadrons import HadronConfig, Hadrons, Struck, hadronise
from hitlens.detectors.nova.interactions import Interaction
from hitlens.detectors.nova.kinematics import Beam, KinematicsConfig, Scattering, scatter
from hitlens.detectors.nova.leptons import TauConfig, cosmic_muons, decay_taus, struck_electrons
from hitlens.detectors.nova.nucleus import NucleusConfig, by_event, leave_nucleus
from hitlens.detectors.nova.particles import Interactions, Particles
from hitlens.simulate.particle_data import mass_gev, masses_gev

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

_N_PROCESSES = len(Process)
_PROTON, _NEUTRON, _ELECTRON, _TAU = 2212, 2112, 11, 15
#: Code in the files of each process of muon neutrinos; 4 and 8 more for electron and tau neutrinos.
_CODE = np.array([0, 1, 2, 3, 3])
#: Energies above which each process can make a tau: 3.5 GeV on a nucleon at rest, more with a W to be made.
TAU_THRESHOLDS_GEV = (3.5, 4.2, 6.5, 3.6, 3.6)


class GeneratorConfig(Description):
    """Everything the generator can be told; every number is a nuisance parameter by its name.

    Attributes:
        flux: energies.
        cross_sections: factors on processes, neutral currents and scattering on electrons.
        kinematics: momentum transfer, W, Fermi motion.
        hadrons: multiplicities and momenta of hadrons.
        nucleus: what becomes of hadrons in the nucleus.
        tau: branching fractions.
        nue_fraction: electron neutrinos among beam interactions.
        nutau_fraction: charged currents of tau neutrinos among beam interactions.
        antineutrino_fraction: antineutrinos among beam interactions.
        cosmic_fraction: cosmic muons among all events.
        unmatched_fraction: code 15 among all events.
        proton_fraction: protons among the detector's nucleons.

    Examples:
        >>> GeneratorConfig().model_copy(update={"nutau_fraction": 0.05}).nutau_fraction
        0.05
    """

    flux: FluxConfig = FluxConfig()
    cross_sections: CrossSectionConfig = CrossSectionConfig()
    kinematics: KinematicsConfig = KinematicsConfig()
    hadrons: HadronConfig = HadronConfig()
    nucleus: NucleusConfig = NucleusConfig()
    tau: TauConfig = TauConfig()
    nue_fraction: float = Field(default=0.0137, ge=0, le=1)
    nutau_fraction: float = Field(default=0.0, ge=0, le=1)
    antineutrino_fraction: float = Field(default=0.04, ge=0, le=1)
    cosmic_fraction: float = Field(default=0.0, ge=0, le=1)
    unmatched_fraction: float = Field(default=0.0092, ge=0, le=1)
    proton_fraction: float = Field(default=0.56, ge=0, le=1)


class _Kinds(NamedTuple):
    """What each event is: code, PDG code and energy of the neutrino, process, charged current or not."""

    code: Int64
    nu_pdg: Int64
    energy: Float64
    process: Int64
    charged: NDArray[np.bool_]

    def take(self, index: Int64) -> _Kinds:
        """Return some of the events."""
        return _Kinds._make(column[index] for column in self)


def generate(config: GeneratorConfig, n: int, rng: np.random.Generator) -> tuple[Interactions, Particles]:
    """Return interactions and the particles that leave them.

    The same config, number and stream give the same events; fewer events are not the first ones of more.

    Args:
        config: every setting.
        n: number of interactions.
        rng: random stream.

    Raises:
        ConfigError: a process cannot happen at an energy the flux gives.

    Examples:
        >>> truth, particles = generate(GeneratorConfig(), 1000, np.random.default_rng(1))
        >>> len(truth), bool((np.diff(particles.event) >= 0).all())
        (1000, True)
    """
    kinds = _draw_kinds(config, n, rng)
    truth = _blank(kinds)
    groups = []
    elastic = np.flatnonzero(kinds.code == Interaction.NU_ELECTRON_ELASTIC)
    groups.append(_elastic(truth, elastic, rng))
    cosmic = np.flatnonzero(kinds.code == Interaction.COSMIC)
    pdg, vectors = cosmic_muons(len(cosmic), rng)
    groups.append(Hadrons(cosmic, pdg, vectors))
    nuclear = np.flatnonzero(
        (kinds.code != Interaction.NU_ELECTRON_ELASTIC) & (kinds.code != Interaction.COSMIC)
    )
    groups.extend(_scattered(config, kinds.take(nuclear), nuclear, truth, rng))
    _forget_unmatched(truth, kinds.code)
    everything = by_event(*groups)
    particles = Particles(everything.event, everything.pdg, *np.ascontiguousarray(everything.vectors[1:]))
    return truth, particles


def _draw_kinds(config: GeneratorConfig, n: int, rng: np.random.Generator) -> _Kinds:
    u = rng.random(n)
    cosmic = u < config.cosmic_fraction
    unmatched = ~cosmic & (u < config.cosmic_fraction + config.unmatched_fraction)
    v = rng.random(n)
    nutau = ~unmatched & (v < config.nutau_fraction)
    nue = ~unmatched & ~nutau & (v < config.nutau_fraction + config.nue_fraction)
    flavour = np.select([nutau, nue], [2, 1], 0)
    energy = _energies(config, flavour, rng)
    process, kind = _draw_processes(config, energy, flavour, unmatched, rng)
    code = np.select(
        [cosmic, unmatched, kind == 2, kind == 1],
        [Interaction.COSMIC, Interaction.OTHER, Interaction.NU_ELECTRON_ELASTIC, Interaction.NC],
        _CODE[process] + 4 * flavour,
    )
    sign = np.where(rng.random(n) < config.antineutrino_fraction, -1, 1)
    return _Kinds(code, sign * (14 + 2 * (flavour == 2) - 2 * (flavour == 1)), energy, process, kind == 0)


def _energies(config: GeneratorConfig, flavour: Int64, rng: np.random.Generator) -> Float64:
    """Return energies; those of tau neutrinos follow the muon neutrinos' above the threshold for a tau."""
    energy = np.empty(len(flavour))
    for number, name in ((0, "numu"), (1, "nue")):
        index = np.flatnonzero(flavour == number)
        energy[index] = draw_energies(config.flux, len(index), rng, "nue" if name == "nue" else "numu")
    todo = np.flatnonzero(flavour == 2)
    while len(todo):
        trial = draw_energies(config.flux, len(todo), rng)
        good = rng.random(len(todo)) < 1.0 - min(TAU_THRESHOLDS_GEV) / trial
        energy[todo[good]] = trial[good]
        todo = todo[~good]
    return energy


def _draw_processes(
    config: GeneratorConfig,
    energy: Float64,
    flavour: Int64,
    unmatched: NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[Int64, Int64]:
    """Return `Process` numbers and kinds: 0 charged current, 1 neutral current, 2 elastic on electrons."""
    charged = charged_current(config.cross_sections, energy)
    neutral = neutral_current(config.cross_sections, energy)
    elastic = electron_elastic(config.cross_sections, energy, flavour == 1)[np.newaxis]
    only_charged = unmatched | (flavour == 2)
    thresholds = np.array(TAU_THRESHOLDS_GEV)[:, np.newaxis]
    charged *= np.where(flavour == 2, np.maximum(1.0 - thresholds / energy, 0.0), 1.0)
    neutral[:, only_charged] = 0.0
    elastic[:, only_charged] = 0.0
    row = draw_process(np.concatenate([charged, neutral, elastic]), rng)
    return row % _N_PROCESSES, row // _N_PROCESSES


def _blank(kinds: _Kinds) -> Interactions:
    """Return interactions with kinds filled and kinematics not yet."""
    n = len(kinds.code)
    return Interactions(
        interaction=kinds.code.astype(np.uint8),
        nu_pdg=kinds.nu_pdg.astype(np.int32),
        nu_energy_gev=kinds.energy.copy(),
        lep_energy_gev=np.zeros(n),
        q2_gev2=np.full(n, np.nan),
        w_gev=np.full(n, np.nan),
        bjorken_x=np.full(n, np.nan),
        inelasticity=np.full(n, np.nan),
        target_pdg=np.zeros(n, dtype=np.int32),
    )


def _forget_unmatched(truth: Interactions, code: Int64) -> None:
    """Take away the truth of events the files know nothing of, in place."""
    nothing = code >= Interaction.COSMIC
    for column in (truth.q2_gev2, truth.w_gev, truth.bjorken_x, truth.inelasticity):
        column[nothing] = np.nan
    for zero in (truth.nu_energy_gev, truth.lep_energy_gev):
        zero[nothing] = 0.0
    for none in (truth.nu_pdg, truth.target_pdg):
        none[nothing] = 0


def _elastic(truth: Interactions, index: Int64, rng: np.random.Generator) -> Hadrons:
    """Return electrons struck by neutrinos and fill their truth in place; the electron is the lepton."""
    energy = truth.nu_energy_gev[index]
    vectors = struck_electrons(energy, rng)
    truth.lep_energy_gev[index] = vectors[0]
    truth.inelasticity[index] = 1.0 - vectors[0] / energy
    truth.q2_gev2[index] = 2.0 * mass_gev(_ELECTRON) * (vectors[0] - mass_gev(_ELECTRON))
    truth.target_pdg[index] = _ELECTRON
    return Hadrons(index, np.full(len(index), _ELECTRON, dtype=np.int32), vectors)


def _scattered(
    config: GeneratorConfig, kinds: _Kinds, index: Int64, truth: Interactions, rng: np.random.Generator
) -> list[Hadrons]:
    """Return leptons and hadrons of scattering on nuclei and fill their truth in place."""
    proton = _draw_protons(config, kinds, rng)
    net = _hadron_charge(kinds, proton, rng)
    beam, lepton_pdg = _beam(kinds, net)
    result = scatter(config.kinematics, beam, rng)
    _fill(truth, index, kinds, result, proton)
    struck = Struck(kinds.process, net, proton, beam.antineutrino, result.hadrons, result.transfer)
    hadrons = leave_nucleus(config.nucleus, hadronise(config.hadrons, struck, rng), rng)
    leptons = Hadrons(np.arange(len(index)), lepton_pdg, result.lepton)
    leptons, hadrons = _drop_parts(kinds, leptons, hadrons, rng)
    tau = np.abs(leptons.pdg) == _TAU
    decayed = decay_taus(config.tau, _keep(leptons, tau), rng)
    return [
        Hadrons(index[group.event], group.pdg, group.vectors)
        for group in (_keep(leptons, ~tau), decayed, hadrons)
    ]


def _keep(group: Hadrons, wanted: NDArray[np.bool_]) -> Hadrons:
    return Hadrons(group.event[wanted], group.pdg[wanted], group.vectors[:, wanted])


def _drop_parts(
    kinds: _Kinds, leptons: Hadrons, hadrons: Hadrons, rng: np.random.Generator
) -> tuple[Hadrons, Hadrons]:
    """Leave only the lepton or only the hadrons of events of code 15."""
    unmatched = kinds.code == Interaction.OTHER
    muon_only = rng.random(len(unmatched)) < 0.5
    return (
        _keep(leptons, ~(unmatched & ~muon_only)[leptons.event]),
        _keep(hadrons, ~(unmatched & muon_only)[hadrons.event]),
    )


def _draw_protons(config: GeneratorConfig, kinds: _Kinds, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return whether the struck nucleon is a proton.

    A neutrino's charged current needs a neutron in QE, prefers protons 2:1 at resonances (the Delta++) and
    neutrons 1.8:1 in DIS (their d quarks); an antineutrino's is the mirror image.
    """
    weight = np.ones(len(kinds.process))
    for process, ratio in ((Process.QE, 0.0), (Process.RES, 2.0), (Process.DIS, 1 / 1.8), (Process.MEC, 0.0)):
        weight[kinds.charged & (kinds.process == process)] = ratio
    share = config.proton_fraction
    anti = kinds.nu_pdg < 0
    first, second = np.where(anti, 1.0 - share, share), np.where(anti, share, 1.0 - share)
    chance = weight * first / (weight * first + second)
    protons: NDArray[np.bool_] = (rng.random(len(weight)) < chance) != anti
    return protons


def _hadron_charge(kinds: _Kinds, proton: NDArray[np.bool_], rng: np.random.Generator) -> Int64:
    """Return the charge of all hadrons together."""
    current = np.where(kinds.charged, np.sign(kinds.nu_pdg), 0)
    pair = np.where(rng.random(len(proton)) < 0.8, 1, np.where(kinds.nu_pdg > 0, 0, 2))
    before = np.where(kinds.process == Process.MEC, np.where(kinds.charged, pair, 1), proton)
    return np.where(kinds.process == Process.COHERENT, 0, before) + current


def _beam(kinds: _Kinds, net: Int64) -> tuple[Beam, NDArray[np.int32]]:
    """Return what is to be scattered and the PDG codes of the outgoing leptons."""
    lepton = np.where(kinds.charged, kinds.nu_pdg - np.sign(kinds.nu_pdg), kinds.nu_pdg).astype(np.int32)
    nucleon = np.where(net == 1, mass_gev(_PROTON), mass_gev(_NEUTRON))
    pion = np.where(net == 0, mass_gev(111), mass_gev(211))
    beam = Beam(
        process=kinds.process,
        energy_gev=kinds.energy,
        lepton_gev=masses_gev(lepton),
        hadron_gev=np.where(kinds.process == Process.COHERENT, pion, nucleon),
        antineutrino=kinds.nu_pdg < 0,
    )
    return beam, lepton


def _fill(
    truth: Interactions, index: Int64, kinds: _Kinds, result: Scattering, proton: NDArray[np.bool_]
) -> None:
    truth.lep_energy_gev[index] = result.lepton[0]
    truth.q2_gev2[index] = result.q2_gev2
    truth.w_gev[index] = result.w_gev
    truth.bjorken_x[index] = result.bjorken_x
    truth.inelasticity[index] = 1.0 - result.lepton[0] / kinds.energy
    nucleon = np.where(proton, _PROTON, _NEUTRON)
    truth.target_pdg[index] = np.where(kinds.process == Process.COHERENT, 0, nucleon)
