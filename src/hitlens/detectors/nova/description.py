"""NOvA in words: two views of 100 planes by 80 cells, truth, tasks, slices, laws, published results."""

from __future__ import annotations

import math

from hitlens.detector import (
    Download,
    PublishedResult,
    SliceVariable,
    Symmetry,
    Task,
    TruthColumn,
    TruthLaw,
    View,
)
from hitlens.detectors.nova.interactions import FinalState, Flavour, Interaction, Mode, sql_case

#: Energy of one count of a pixel, MeV.
COUNT_MEV = 1.085
#: Planes and cells of an image.
SHAPE = (100, 80)

_PITCH_MM = (133.2, 39.7)
_UNIT = f"counts of {COUNT_MEV} MeV"
#: x-z and y-z; a column of an image is one plane of its view, which is every second plane of the detector.
VIEWS = tuple(
    View(
        name=name, shape=SHAPE, axes=("plane", f"{name}_cell"), pitch_mm=_PITCH_MM, unit=_UNIT, dtype="uint8"
    )
    for name in ("x", "y")
)

SYMMETRIES = (
    Symmetry(name="flip_x_cell", flips=("x_cell",)),
    Symmetry(name="flip_y_cell", flips=("y_cell",)),
    Symmetry(name="flip_both", flips=("x_cell", "y_cell")),
)

_FLAVOUR_NAMES = ("numu", "nue", "nc_other", "nutau")
_MODE_NAMES = ("QE", "RES", "DIS", "Other", "NC")
_PRONG_NAMES = ("0", "1", "2", "3+")


_OTHER_KINDS = {
    Interaction.NU_ELECTRON_ELASTIC: "nu-e elastic",
    Interaction.NC: "NC",
    Interaction.COSMIC: "cosmic muon",
    Interaction.OTHER: "other",
}


def _words(code: Interaction | FinalState) -> str:
    if isinstance(code, Interaction):
        mode = code.mode
        if code in _OTHER_KINDS or mode is None:
            return _OTHER_KINDS[code]
        return f"{_FLAVOUR_NAMES[code.flavour]} CC {_MODE_NAMES[mode]}"
    return code.name.lower().replace("_", " ")


TRUTH = (
    TruthColumn(name="file", meaning="name of the file the event came from", role="file"),
    TruthColumn(name="run", meaning="run of the detector", role="key"),
    TruthColumn(name="subrun", meaning="part of the run", role="key"),
    TruthColumn(name="evt", meaning="trigger in the run", role="key"),
    TruthColumn(name="subevt", meaning="slice of the trigger that holds the interaction", role="key"),
    TruthColumn(name="cycle", meaning="cycle of the simulation", role="key"),
    TruthColumn(
        name="interaction",
        meaning="kind of interaction, code",
        codes=tuple((int(kind), _words(kind)) for kind in Interaction),
    ),
    TruthColumn(
        name="finalstate",
        meaning="final state, code: 16 * flavour + 4 * tracks + showers",
        codes=tuple((int(state), _words(state)) for state in FinalState),
    ),
    TruthColumn(
        name="finalstateprong",
        meaning="final state by prongs, code as of finalstate",
        codes=tuple((int(state), _words(state)) for state in FinalState),
    ),
    TruthColumn(
        name="nuenergy", meaning="energy of the neutrino, 0 where there is none", unit="GeV", symbol="E"
    ),
    TruthColumn(
        name="lepenergy",
        meaning="energy of the outgoing lepton, in a neutral current the neutrino's",
        unit="GeV",
    ),
    TruthColumn(name="vtxx", meaning="vertex along x, in the detector", unit="cm"),
    TruthColumn(name="vtxy", meaning="vertex along y, in the detector", unit="cm"),
    TruthColumn(name="vtxz", meaning="vertex along the beam, in the detector", unit="cm"),
    TruthColumn(name="parent", meaning="parent of the slice, number"),
    TruthColumn(name="particles", meaning="particles of the slice, number"),
    TruthColumn(name="trainingdata_idx", meaning="position in the experiment's own training record"),
    TruthColumn(
        name="flavour",
        meaning="flavour of the neutrino by charged current, code",
        expression=sql_case("interaction", [(kind, kind.flavour) for kind in Interaction]),
        codes=tuple((int(flavour), _FLAVOUR_NAMES[flavour]) for flavour in Flavour),
    ),
    TruthColumn(
        name="mode",
        meaning="how the neutrino interacted, code; none for cosmic muons and the rest",
        expression=sql_case("interaction", [(kind, kind.mode) for kind in Interaction]),
        codes=tuple((int(mode), _MODE_NAMES[mode]) for mode in Mode),
    ),
    TruthColumn(
        name="lepton_fraction",
        meaning="energy of the lepton over the neutrino's",
        expression="CASE WHEN nuenergy > 0 THEN lepenergy / nuenergy END",
    ),
    TruthColumn(
        name="inelasticity",
        meaning="share of the neutrino's energy that does not go to the lepton, y",
        expression="1 - lepton_fraction",
        symbol="y",
    ),
    TruthColumn(
        name="n_tracks",
        meaning="tracks seen, 3 for three or more",
        codes=tuple(enumerate(("0 tracks", "1 track", "2 tracks", "3+ tracks"))),
        expression=sql_case("finalstate", [(state, state.n_tracks) for state in FinalState]),
    ),
    TruthColumn(
        name="n_showers",
        meaning="showers seen, 3 for three or more",
        codes=tuple(enumerate(("0 showers", "1 shower", "2 showers", "3+ showers"))),
        expression=sql_case("finalstate", [(state, state.n_showers) for state in FinalState]),
    ),
)

#: What the caption of a picture says of an event.
HEADLINE = ("interaction", "nuenergy", "inelasticity", "n_tracks", "n_showers")

KNOWN, WITH_NEUTRINO = "flavour IS NOT NULL", "nuenergy > 0"


def _energy_like(name: str, meaning: str, column: str, unit: str) -> Task:
    return Task(
        name=name,
        kind="regression",
        meaning=meaning,
        selection=WITH_NEUTRINO,
        columns=(column,),
        units=(unit,),
    )


def _prongs(name: str, column: str) -> Task:
    return Task(
        name=name,
        kind="multiclass",
        meaning=f"how many {name} the event shows",
        selection=f"{column} IS NOT NULL",
        target=column,
        class_names=_PRONG_NAMES,
    )


TASKS = (
    Task(
        name="numu_cc",
        kind="binary",
        meaning="charged current of a muon neutrino or anything else",
        selection=KNOWN,
        target=f"flavour = {Flavour.NUMU:d}",
        class_names=("other", "numu CC"),
    ),
    Task(
        name="nue_cc",
        kind="binary",
        meaning="charged current of an electron neutrino or anything else",
        selection=KNOWN,
        target=f"flavour = {Flavour.NUE:d}",
        class_names=("other", "nue CC"),
    ),
    Task(
        name="flavour",
        kind="multiclass",
        meaning="flavour of the neutrino by charged current; neutral currents and the rest as one",
        selection=KNOWN,
        target="flavour",
        class_names=_FLAVOUR_NAMES,
        optional_classes=("nutau",),
    ),
    Task(
        name="interaction_mode",
        kind="multiclass",
        meaning="how the neutrino interacted",
        selection="mode IS NOT NULL",
        target="mode",
        class_names=_MODE_NAMES,
    ),
    _energy_like("nu_energy", "energy of the neutrino", "nuenergy", "GeV"),
    _energy_like("lepton_energy", "energy of the outgoing lepton", "lepenergy", "GeV"),
    _energy_like("lepton_fraction", "energy of the lepton over the neutrino's", "lepton_fraction", ""),
    _energy_like("inelasticity", "share of the energy that does not go to the lepton, y", "inelasticity", ""),
    _prongs("tracks", "n_tracks"),
    _prongs("showers", "n_showers"),
    Task(
        name="final_state",
        kind="joint",
        meaning="tracks and showers from one network",
        heads=("tracks", "showers"),
    ),
    Task(
        name="joint",
        kind="joint",
        meaning="flavour, mode, energies and final state from one network",
        heads=(
            "numu_cc",
            "nue_cc",
            "flavour",
            "interaction_mode",
            "nu_energy",
            "lepton_energy",
            "lepton_fraction",
            "inelasticity",
            "tracks",
            "showers",
        ),
    ),
)


def _kinds(name: str, label: str, expression: str, labels: tuple[str, ...]) -> SliceVariable:
    edges = tuple(i - 0.5 for i in range(len(labels) + 1))
    return SliceVariable(name=name, label=label, expression=expression, edges=edges, labels=labels)


SLICES = (
    _kinds("mode", "how the neutrino interacted", "mode", _MODE_NAMES),
    _kinds("flavour", "flavour of the neutrino", "flavour", _FLAVOUR_NAMES),
    SliceVariable(
        name="neutrino_energy_gev",
        label="energy of the neutrino",
        unit="GeV",
        expression="nuenergy",
        selection=WITH_NEUTRINO,
        edges=(0.0, 1.5, 2.0, 2.5, 3.5, 5.0, 8.0, 12.0, 20.0, 40.0, 110.0),
    ),
    SliceVariable(
        name="muon_energy_gev",
        label="energy of the muon (numu CC)",
        unit="GeV",
        expression="lepenergy",
        selection=f"flavour = {Flavour.NUMU:d}",
        edges=(0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 110.0),
    ),
    SliceVariable(
        name="inelasticity",
        label="inelasticity y",
        expression="inelasticity",
        selection=WITH_NEUTRINO,
        edges=(-0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    ),
    SliceVariable(
        name="visible_energy_gev",
        label="visible energy",
        unit="GeV",
        expression=f"seen_charge * {COUNT_MEV} / 1000",
        edges=(0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 60.0),
    ),
    SliceVariable(
        name="event_size_hits",
        label="hits in both views",
        unit="hits",
        expression="seen_hits",
        edges=(0.0, 50.0, 75.0, 100.0, 125.0, 150.0, 200.0, 300.0, 500.0, 16001.0),
    ),
    _kinds("tracks", "tracks", "n_tracks", _PRONG_NAMES),
    _kinds("showers", "showers", "n_showers", _PRONG_NAMES),
)

#: Events of the public file whose truth was decoded from figures; the laws are as sharp as that allows.
_N_DECODED = 7001


def _fraction(name: str, expression: str, fraction: float, selection: str = "TRUE") -> TruthLaw:
    error = 2 * math.sqrt(fraction * (1 - fraction) / _N_DECODED)
    return TruthLaw(
        name=name,
        kind="fraction",
        expression=expression,
        selection=selection,
        low=round(fraction - error, 4),
        high=round(fraction + error, 4),
    )


LAWS = (
    _fraction("numu CC, of all events", "interaction < 4", 0.882),
    _fraction("numu CC QE, of all events", f"interaction = {Interaction.NUMU_QE:d}", 0.126),
    _fraction("numu CC RES, of all events", f"interaction = {Interaction.NUMU_RES:d}", 0.188),
    _fraction("numu CC DIS, of all events", f"interaction = {Interaction.NUMU_DIS:d}", 0.539),
    _fraction("numu CC Other, of all events", f"interaction = {Interaction.NUMU_OTHER:d}", 0.028),
    _fraction("nue CC, of all events", "interaction >= 4 AND interaction < 8", 0.0123),
    _fraction("neutral current and nu-e, of all events", "interaction IN (12, 13)", 0.099),
    _fraction("without known interaction, code 15, of all events", "interaction = 15", 0.0083),
    TruthLaw(
        name="there are no nutau",
        kind="fraction",
        expression="interaction >= 8 AND interaction < 12",
        low=0.0,
        high=0.0005,
    ),
    TruthLaw(
        name="code 15 has no neutrino energy",
        kind="fraction",
        expression="nuenergy = 0",
        selection="interaction = 15",
        low=1.0,
        high=1.0,
    ),
    _fraction("neutrinos above 3.5 GeV, of all events", "nuenergy > 3.5", 0.644),
    TruthLaw(
        name="the lepton has at most 1.02 times the neutrino's energy",
        kind="fraction",
        expression="lepenergy <= 1.02 * nuenergy",
        selection=WITH_NEUTRINO,
        low=0.999,
        high=1.0,
    ),
)

_SEED = "seed notebook of the course"
_STUDENTS = "other students of the course"
_NOVA = "NOvA collaboration"


def _published(
    task: str, model: str, metric: str, value: str, conditions: str, source: str
) -> PublishedResult:
    return PublishedResult(
        task=task, model=model, metric=metric, value=value, conditions=conditions, source=source
    )


PUBLISHED = (
    _published("numu_cc", "two-branch CNN", "accuracy", ".825", "balanced set, 25 files; loss .4116", _SEED),
    _published(
        "numu_cc",
        "CNN",
        "AUC",
        ".879",
        "natural prevalence, split by file; balanced accuracy .818",
        _STUDENTS,
    ),
    _published(
        "numu_cc", "CNN", "accuracy", ".771", "balanced set; .72-.79 from run to run, 10 repeats", _STUDENTS
    ),
    _published(
        "numu_cc",
        "two-branch CNN",
        "accuracy",
        ".8514",
        "balanced set, QE and DIS equal; events are repeated in it",
        _SEED,
    ),
    _published("numu_cc", "two-branch CNN", "accuracy", ".917", "balanced set, QE only", _SEED),
    _published(
        "nue_cc", "two-branch CNN", "accuracy", ".988", "natural prevalence: the trivial baseline", _SEED
    ),
    _published("nue_cc", "two-branch CNN", "accuracy", ".762", "balanced set; loss .457", _SEED),
    _published(
        "nue_cc",
        "CVN",
        "signal efficiency",
        ".49",
        "the experiment's own selection; .35 before it",
        _NOVA,
    ),
    _published("flavour", "two-branch CNN", "accuracy", ".827", "balanced set", _SEED),
    _published(
        "interaction_mode",
        "CNN",
        "accuracy",
        ".39-.40",
        "balanced set of five classes: chance .20",
        _STUDENTS,
    ),
    _published(
        "interaction_mode",
        "two-branch CNN",
        "accuracy",
        ".2535",
        "balanced set; sigmoid with categorical cross-entropy",
        _SEED,
    ),
    _published(
        "nu_energy",
        "two-branch CNN",
        "mse",
        ".0114-.0123",
        "of energy over the sample's maximum; the constant predictor has .012",
        _SEED,
    ),
    _published(
        "nu_energy",
        "regression CNN",
        "rms",
        "16 % better",
        "than the experiment's kinematic estimate",
        _NOVA,
    ),
    _published("lepton_fraction", "CNN", "mse", ".0449", "the constant predictor has .074", _STUDENTS),
    _published(
        "final_state",
        "prong CNN",
        "signal efficiency",
        ".833",
        "at purity .835; particle identity of single prongs, which is another question",
        _NOVA,
    ),
)

#: How many public files there are.
N_FILES = 200

DOWNLOADS = tuple(
    Download(
        name=f"neutrino{number}.h5",
        url=f"http://www.hep.ucl.ac.uk/undergrad/0056/other/projects/nova/neutrino{number}.h5",
        meaning="about 7,000 events of the collaboration's simulation, 112 MB",
        number=number,
    )
    for number in range(1, N_FILES + 1)
)
