"""The DUNE far detector in words: three views of wire against time, truth, tasks, slices, results."""

from __future__ import annotations

from hitlens.detector import PublishedResult, SliceVariable, Symmetry, Task, TruthColumn, View

SHAPE = (500, 500)

#: Names of the flavours by code.
FLAVOURS = ("numu", "nue", "nutau", "nc")
#: Names of the interactions by code.
INTERACTIONS = ("QE", "RES", "DIS", "Other")
#: Code of a neutral-current event among the flavours.
NC = FLAVOURS.index("nc")

#: Charge of a reconstructed hit in one count: 1000 of its units make 255.
_UNIT = "counts of 3.9 of hit charge"

#: Size of a time pixel along the drift, mm: 6 samples of 0.5 us at 1.6 mm/us. The spread of the charge along
#: time against that along y, from the u and v wires, gives 4.9 [4.3, 5.6] mm.
TIME_PITCH_MM = 4.8

VIEWS = tuple(
    View(
        name=name,
        shape=SHAPE,
        axes=("wire", "time"),
        pitch_mm=(wire_pitch_mm, TIME_PITCH_MM),
        unit=_UNIT,
        dtype="uint8",
    )
    for name, wire_pitch_mm in (("u", 4.67), ("v", 4.67), ("z", 4.79))
)

TRUTH = (
    TruthColumn(name="file", meaning="name of the file or folder the event came from", role="key"),
    TruthColumn(name="event", meaning="number of the event in that file or folder", role="key"),
    TruthColumn(
        name="flavour",
        meaning="flavour of a charged-current event, or neutral current",
        codes=tuple(enumerate(FLAVOURS)),
    ),
    TruthColumn(name="nu_pdg", meaning="PDG code of the neutrino, negative for antineutrinos; 1 for nc"),
    TruthColumn(name="nu_energy_gev", meaning="energy of the neutrino", unit="GeV", symbol="E"),
    TruthColumn(
        name="lep_energy_gev",
        meaning="energy of the outgoing lepton; of nc the outgoing neutrino",
        unit="GeV",
    ),
    TruthColumn(
        name="interaction",
        meaning="how a charged-current event interacted; nothing for nc, of which the files do not say it",
        codes=tuple(enumerate(INTERACTIONS)),
    ),
    TruthColumn(name="n_proton", meaning="protons that leave enough charge to be seen", symbol="protons"),
    TruthColumn(name="n_pion", meaning="charged pions that leave enough charge to be seen", symbol="pions"),
    TruthColumn(name="n_pizero", meaning="neutral pions that leave enough charge to be seen", symbol="pi0"),
    TruthColumn(name="n_neutron", meaning="neutrons that leave enough charge to be seen"),
)

#: What the caption of a picture says of an event.
HEADLINE = ("flavour", "interaction", "nu_energy_gev", "n_proton", "n_pion", "n_pizero")

#: The drift may run either way, in all views at once. The beam runs along the wires in one direction only.
SYMMETRIES = (Symmetry(name="flip_time", flips=("time",)),)

CHARGED_CURRENT = f"flavour <> {NC}"


def _count_task(name: str, column: str, meaning: str) -> Task:
    return Task(
        name=name,
        kind="multiclass",
        meaning=f"number of {meaning}",
        target=f"LEAST({column}, 3)",
        class_names=("0", "1", "2", "3+"),
    )


_COUNTS = (
    _count_task("n_protons", "n_proton", "protons"),
    _count_task("n_pions", "n_pion", "charged pions"),
    _count_task("n_pizeros", "n_pizero", "neutral pions"),
    _count_task("n_neutrons", "n_neutron", "neutrons"),
)

_SINGLE_TASKS = (
    Task(
        name="flavour",
        kind="multiclass",
        meaning="flavour of a charged-current event, or neutral current",
        target="flavour",
        class_names=FLAVOURS,
    ),
    Task(
        name="interaction",
        kind="multiclass",
        meaning="how a charged-current event interacted",
        selection=CHARGED_CURRENT,
        target="interaction",
        class_names=INTERACTIONS,
    ),
    Task(
        name="nu_energy",
        kind="regression",
        meaning="energy of the neutrino",
        selection="nu_energy_gev > 0",
        columns=("nu_energy_gev",),
        units=("GeV",),
    ),
    Task(
        name="lepton_energy",
        kind="regression",
        meaning="energy of the charged lepton",
        selection=f"lep_energy_gev > 0 AND {CHARGED_CURRENT}",
        columns=("lep_energy_gev",),
        units=("GeV",),
    ),
    *_COUNTS,
)

TASKS = (
    *_SINGLE_TASKS,
    Task(
        name="joint",
        kind="joint",
        meaning="flavour, interaction, energies and counts of particles from one network",
        heads=tuple(task.name for task in _SINGLE_TASKS),
    ),
)

_BY_CODE = (-0.5, 0.5, 1.5, 2.5, 3.5)

SLICES = (
    SliceVariable(
        name="flavour", label="true flavour", expression="flavour", edges=_BY_CODE, labels=FLAVOURS
    ),
    SliceVariable(
        name="interaction",
        label="interaction",
        expression="interaction",
        selection=CHARGED_CURRENT,
        edges=_BY_CODE,
        labels=INTERACTIONS,
    ),
    SliceVariable(
        name="nu_energy_gev",
        label="energy of the neutrino",
        unit="GeV",
        expression="nu_energy_gev",
        edges=(0.0, 2.0, 4.0, 8.0, 16.0, 60.0),
    ),
    SliceVariable(
        name="lepton_fraction",
        label="energy of the lepton over that of the neutrino",
        expression="lep_energy_gev / nu_energy_gev",
        edges=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
    ),
    SliceVariable(
        name="n_particles",
        label="protons and pions seen",
        expression="n_proton + n_pion + n_pizero",
        edges=(-0.5, 0.5, 1.5, 2.5, 4.5, 30.5),
        labels=("0", "1", "2", "3-4", "5+"),
    ),
)

_CVN = "DUNE CVN (dune-cvn, arXiv:2006.15052)"
_TRAINED = "trained on millions of simulated events"

PUBLISHED = (
    PublishedResult(
        task="flavour",
        model="DUNE CVN",
        metric="AUC",
        value=".991",
        conditions=f"electron neutrinos against the rest only, 300 events; {_TRAINED}",
        source=_CVN,
    ),
    PublishedResult(
        task="flavour",
        model="DUNE CVN",
        metric="efficiency for electron neutrinos",
        value="90 % at its peak",
        conditions=f"cut on the score, natural composition of the beam; {_TRAINED}",
        source=_CVN,
    ),
    PublishedResult(
        task="flavour",
        model="DUNE CVN",
        metric="efficiency for muon neutrinos",
        value="96 % at its peak",
        conditions=f"cut on the score, natural composition of the beam; {_TRAINED}",
        source=_CVN,
    ),
)
