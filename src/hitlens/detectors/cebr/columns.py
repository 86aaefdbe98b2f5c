"""Columns that only some CeBr layouts bring: what the experiment says of an event, the pulses of a trace."""

from __future__ import annotations

from hitlens.detector import TruthColumn

#: What a descriptor says of an event.
DESCRIPTORS = {
    1: "implant",
    2: "decay",
    4: "light ion",
    9: "implant and double in time",
    10: "decay and double in time",
    12: "light ion and double in time",
    16: "double in space",
}

_ID = TruthColumn(name="event_id", meaning="number the experiment gave the event")
#: Columns between the key and the pixels, by layout.
EXPERIMENT: dict[str, tuple[TruthColumn, ...]] = {
    "anodedata": (
        _ID,
        TruthColumn(
            name="descriptor",
            meaning="kind of event: " + ", ".join(f"{k} {v}" for k, v in DESCRIPTORS.items()),
        ),
    ),
    "decaydata": (
        _ID,
        TruthColumn(name="ddas_energy", meaning="energy as the digital acquisition system gave it"),
        TruthColumn(name="fit_energy", meaning="energy from the fit to the trace"),
    ),
}


def _pulse_columns(i: int, which: str, absent: str) -> tuple[TruthColumn, ...]:
    return (
        TruthColumn(name=f"amplitude_{i}", meaning=f"amplitude of the {which} pulse", unit="ADC counts"),
        TruthColumn(
            name=f"rise_{i}_per_sample",
            meaning=f"rise constant of the {which} pulse{absent}",
            unit="1/sample",
        ),
        TruthColumn(
            name=f"decay_{i}_per_sample",
            meaning=f"decay constant of the {which} pulse{absent}",
            unit="1/sample",
        ),
        TruthColumn(
            name=f"position_{i}_samples", meaning=f"position of the {which} pulse{absent}", unit="samples"
        ),
    )


#: Columns of a trace, in the order of the file.
TRACES = (
    TruthColumn(name="n_pulses", meaning="pulses in the trace, 1 or 2"),
    *_pulse_columns(1, "first", ""),
    TruthColumn(name="offset", meaning="baseline of the trace", unit="ADC counts"),
    *_pulse_columns(2, "second", ", NaN where there is none"),
)
