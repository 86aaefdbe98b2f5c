"""The CeBr detector in words: one 16x16 view, its truth, symmetries, tasks, slices and published results."""

from __future__ import annotations

from hitlens.detector import (
    Download,
    PublishedResult,
    SliceVariable,
    Task,
    TruthColumn,
    TruthLaw,
    View,
    dihedral_group,
)

#: Positions are uniform over the active area, 44 of the 48 mm: 8 px + U(-22, 22) mm / 3 mm.
POSITION_LOW_PX, POSITION_HIGH_PX = 8 - 22 / 3, 8 + 22 / 3

#: Pixel [ix, iy]: row is x, column is y; pixel i spans [i, i+1).
ANODE = View(
    name="anode", shape=(16, 16), axes=("x", "y"), pitch_mm=(3.0, 3.0), unit="photons", dtype="uint16"
)

TRUTH = (
    TruthColumn(name="file", meaning="name of the file the event came from", role="key"),
    TruthColumn(name="event", meaning="position of the event in that file, from 0", role="key"),
    TruthColumn(name="n_electrons", meaning="electrons in the crystal, 1 or 2"),
    TruthColumn(name="energy_1_mev", meaning="energy of the first electron", unit="MeV"),
    TruthColumn(name="x_1_px", meaning="position of the first electron along rows", unit="px"),
    TruthColumn(name="y_1_px", meaning="position of the first electron along columns", unit="px"),
    TruthColumn(name="energy_2_mev", meaning="energy of the second electron, 0 for a single", unit="MeV"),
    TruthColumn(
        name="x_2_px", meaning="position of the second electron along rows, NaN for a single", unit="px"
    ),
    TruthColumn(
        name="y_2_px", meaning="position of the second electron along columns, NaN for a single", unit="px"
    ),
)

SYMMETRIES = dihedral_group(ANODE, [("x_1_px", "y_1_px"), ("x_2_px", "y_2_px")])

SINGLE, DOUBLE = "n_electrons = 1", "n_electrons = 2"

TASKS = (
    Task(
        name="multiplicity",
        kind="binary",
        meaning="one electron or two",
        target=DOUBLE,
        class_names=("single", "double"),
    ),
    Task(
        name="single_energy",
        kind="regression",
        meaning="energy of a single electron",
        selection=SINGLE,
        columns=("energy_1_mev",),
        units=("MeV",),
    ),
    Task(
        name="single_position",
        kind="regression",
        meaning="position of a single electron",
        selection=SINGLE,
        columns=("x_1_px", "y_1_px"),
        units=("px", "px"),
    ),
    Task(
        name="double_energy",
        kind="set_regression",
        meaning="energies of two electrons, unordered",
        selection=DOUBLE,
        elements=(("energy_1_mev",), ("energy_2_mev",)),
        units=("MeV",),
    ),
    Task(
        name="double_position",
        kind="set_regression",
        meaning="positions of two electrons, unordered",
        selection=DOUBLE,
        elements=(("x_1_px", "y_1_px"), ("x_2_px", "y_2_px")),
        units=("px", "px"),
    ),
    Task(
        name="single",
        kind="regression",
        meaning="energy and position of a single electron",
        selection=SINGLE,
        columns=("energy_1_mev", "x_1_px", "y_1_px"),
        units=("MeV", "px", "px"),
    ),
    Task(
        name="double",
        kind="set_regression",
        meaning="energies and positions of two electrons, unordered",
        selection=DOUBLE,
        elements=(("energy_1_mev", "x_1_px", "y_1_px"), ("energy_2_mev", "x_2_px", "y_2_px")),
        units=("MeV", "px", "px"),
    ),
    Task(
        name="joint",
        kind="joint",
        meaning="multiplicity, energies and positions from one network",
        heads=("multiplicity", "single", "double"),
    ),
)

SLICES = (
    SliceVariable(
        name="separation_px",
        label="separation of the two electrons",
        unit="px",
        expression="SQRT((x_1_px - x_2_px) * (x_1_px - x_2_px) + (y_1_px - y_2_px) * (y_1_px - y_2_px))",
        selection=DOUBLE,
        edges=(0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 21.0),
    ),
    SliceVariable(
        name="energy_ratio",
        label="energy of the weaker electron over the stronger",
        expression="LEAST(energy_1_mev, energy_2_mev) / GREATEST(energy_1_mev, energy_2_mev)",
        selection=DOUBLE,
        edges=(0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0),
    ),
    SliceVariable(
        name="total_energy_mev",
        label="total energy",
        unit="MeV",
        expression="energy_1_mev + energy_2_mev",
        edges=(0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0),
    ),
    SliceVariable(
        name="x_1_px",
        label="position of the first electron along x",
        unit="px",
        expression="x_1_px",
        edges=(POSITION_LOW_PX, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, POSITION_HIGH_PX),
    ),
    SliceVariable(
        name="edge_distance_px",
        label="distance of the first electron from the nearest edge",
        unit="px",
        expression="LEAST(x_1_px, 16 - x_1_px, y_1_px, 16 - y_1_px)",
        edges=(0.6, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0),
    ),
)

LAWS = (
    TruthLaw(
        name="energy of electron 1 is uniform", kind="uniform", expression="energy_1_mev", low=0.0, high=1.0
    ),
    TruthLaw(
        name="energy of electron 2 is uniform",
        kind="uniform",
        expression="energy_2_mev",
        low=0.0,
        high=1.0,
        selection=DOUBLE,
    ),
    *(
        TruthLaw(
            name=f"{column} is uniform",
            kind="uniform",
            expression=column,
            low=POSITION_LOW_PX,
            high=POSITION_HIGH_PX,
            selection=selection,
        )
        for column, selection in (
            ("x_1_px", "TRUE"),
            ("y_1_px", "TRUE"),
            ("x_2_px", DOUBLE),
            ("y_2_px", DOUBLE),
        )
    ),
    TruthLaw(
        name="the pair is unordered: energy 1 above energy 2",
        kind="fraction",
        expression="energy_1_mev > energy_2_mev",
        low=0.5,
        high=0.5,
        selection=DOUBLE,
    ),
    TruthLaw(name="half of the events are singles", kind="fraction", expression=SINGLE, low=0.5, high=0.5),
)

_THESIS = "G. Ulvik, master thesis and master_analysis"
_NOTEBOOK = "G. Ulvik, event_classification_example notebook"
_REAL = "Geant4 events of the collaboration"

PUBLISHED = (
    PublishedResult(
        task="multiplicity",
        model="logistic regression",
        metric="accuracy",
        value=".72-.73",
        conditions=_REAL,
        source=_THESIS,
    ),
    PublishedResult(
        task="multiplicity",
        model="dense network",
        metric="accuracy",
        value=".839-.861",
        conditions=_REAL,
        source=_THESIS,
    ),
    PublishedResult(
        task="multiplicity",
        model="LaBollita CNN",
        metric="accuracy",
        value=".963",
        conditions=f"{_REAL}; AUC .9865",
        source=_THESIS,
    ),
    PublishedResult(
        task="multiplicity",
        model="CNN, 260k parameters",
        metric="accuracy",
        value=".9866",
        conditions=f"{_REAL}, 200k; best of 45 epochs on validation; F1 .9865, MCC .9735",
        source=_NOTEBOOK,
    ),
    PublishedResult(
        task="multiplicity",
        model="grid of 18 CNNs",
        metric="accuracy",
        value=".848-.985",
        conditions=f"{_REAL}; validation accuracy swings between .50 and .98",
        source=_NOTEBOOK,
    ),
    PublishedResult(
        task="multiplicity",
        model="best thesis CNN",
        metric="accuracy",
        value=".9859",
        conditions=f"{_REAL}, 2M; MCC .9720, AUC .9939; recall .466 below 1 px separation",
        source=_THESIS,
    ),
    PublishedResult(
        task="single_position",
        model="CNN, best fold",
        metric="rmse",
        value=".322 mm (.107 px)",
        conditions=f"{_REAL}; mae .166 mm, R2 .99936",
        source=_THESIS,
    ),
    PublishedResult(
        task="single_energy",
        model="CNN, best fold",
        metric="mae",
        value=".0124 MeV",
        conditions=f"{_REAL}; rmse .0366 MeV, R2 .984",
        source=_THESIS,
    ),
    PublishedResult(
        task="double_position",
        model="all models",
        metric="R2",
        value="<= .4953",
        conditions=f"{_REAL}; ordered target, rmse >= 9.05 mm",
        source=_THESIS,
    ),
    PublishedResult(
        task="double_energy",
        model="all models",
        metric="R2",
        value="<= .521",
        conditions=f"{_REAL}; ordered target, rmse >= .204 MeV",
        source=_THESIS,
    ),
)

DOWNLOADS = (
    Download(
        name="CeBr200k_Mix.txt.gz",
        url="https://github.com/geirtul/event_classification_example/raw/master/data/CeBr200k_Mix.txt.gz",
        meaning="200,000 simulated events of the collaboration, half singles",
    ),
)
