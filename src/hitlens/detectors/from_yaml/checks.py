"""What must agree between the parts of a detector's description; pydantic sees each part alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from hitlens.detector import Symmetry, Task, View
from hitlens.detectors.from_yaml.places import Place, Places
from hitlens.detectors.from_yaml.schema import DescribedColumn, DetectorDescription, ImageSource
from hitlens.errors import SelectionError, choose_from
from hitlens.sql import columns_of

#: Totals over the images of an event, which slices may use beside the truth.
SEEN = ("seen_hits", "seen_charge")
#: Units in which a position can be.
_LENGTHS = ("px", "mm", "cm", "m")


def check(description: DetectorDescription, places: Places) -> None:
    """Refuse a description whose parts do not fit together.

    Raises:
        ConfigError: the first thing that does not; names the key, its line and the nearest right name.
    """
    checks: tuple[Callable[[DetectorDescription, Places], None], ...] = (
        _check_names,
        _check_views,
        _check_truth,
        _check_tasks,
        _check_symmetries,
        _check_positions,
        _check_slices,
        _check_files,
    )
    for one in checks:
        one(description, places)


def _check_names(description: DetectorDescription, places: Places) -> None:
    for part in ("views", "truth", "symmetries", "tasks", "slices", "laws", "downloads", "files"):
        names: list[str] = []
        for number, item in enumerate(getattr(description, part)):
            if item.name in names:
                raise places.error(
                    (part, number, "name"), f"two {part} are called '{item.name}'. Rename one."
                )
            names.append(item.name)


def _check_views(description: DetectorDescription, places: Places) -> None:
    for number, view in enumerate(description.views):
        place = ("views", number)
        if not view.name.isidentifier():
            raise places.error((*place, "name"), f"a view's name must be one word. Got '{view.name}'.")
        if len(view.shape) not in (2, 3) or min(view.shape) < 1:
            problem = "must be two or three numbers above 0: (row, col) or (depth, row, col)"
            raise places.error((*place, "shape"), f"{problem}. Got {list(view.shape)}.")
        for name in ("axes", "pitch_mm"):
            n = len(getattr(view, name))
            if n != len(view.shape) and not (name == "pitch_mm" and n == 0):
                raise places.error(
                    (*place, name), f"must have one entry for each of the {len(view.shape)} axes. Got {n}."
                )
        if not all(0 < pitch < math.inf for pitch in view.pitch_mm):
            problem = "must be lengths above 0, mm; leave it out where pixels have none"
            raise places.error((*place, "pitch_mm"), f"{problem}. Got {list(view.pitch_mm)}.")
        if len(set(view.axes)) < len(view.axes):
            raise places.error((*place, "axes"), f"two axes of a view have one name. Got {list(view.axes)}.")


def _check_truth(description: DetectorDescription, places: Places) -> None:
    known = list(_automatic(description, places))
    plain = [column.name for column in description.truth if not column.expression]
    axes = {axis for view in description.views for axis in view.axes}
    for number, column in enumerate(description.truth):
        place = ("truth", number)
        if column.expression:
            _check_expression(column.expression, [*known, *plain], (*place, "expression"), places)
        if column.axis not in ("", "none") and column.axis not in axes:
            problem = f"no view has an axis '{column.axis}'. {choose_from(column.axis, {*axes, 'none'})}"
            raise places.error((*place, "axis"), problem)
        known.append(column.name)


def _automatic(description: DetectorDescription, places: Places) -> tuple[str, ...]:
    """Names of the columns every event has without their being described."""
    if any(column.role == "key" for column in description.truth):
        return ("file",)
    for number, column in enumerate(description.truth):
        if column.name in ("event", "file"):
            raise places.error(
                ("truth", number, "role"),
                f"without a key, '{column.name}' says where an event stands in its file. "
                "Give this column the role 'key', or another name.",
            )
    return ("file", "event")


def column_names(description: DetectorDescription, places: Places) -> tuple[str, ...]:
    """Return the names of all columns of the truth table."""
    return (*_automatic(description, places), *(column.name for column in description.truth))


def _check_tasks(description: DetectorDescription, places: Places) -> None:
    known = column_names(description, places)
    names = [task.name for task in description.tasks]
    for number, task in enumerate(description.tasks):
        place = ("tasks", number)
        _check_expression(task.selection, known, (*place, "selection"), places)
        if task.target:
            _check_expression(task.target, known, (*place, "target"), places)
        for position, name in enumerate(task.heads):
            _check_known(name, names, (*place, "heads", position), places, "task")
        for position, name in enumerate(task.columns):
            _check_known(name, known, (*place, "columns", position), places)
        for position, element in enumerate(task.elements):
            for inner, name in enumerate(element):
                _check_known(name, known, (*place, "elements", position, inner), places)
        _check_units(task, place, places)


def _check_units(task: Task, place: Place, places: Places) -> None:
    if task.kind not in ("regression", "set_regression"):
        return
    n_values = len(task.columns) or len(task.elements[0])
    if len(task.units) != n_values:
        raise places.error(
            (*place, "units"), f"must be one a column: {n_values}. Got {len(task.units)}: {list(task.units)}."
        )


def _check_symmetries(description: DetectorDescription, places: Places) -> None:
    axes = {axis for view in description.views for axis in view.axes}
    known = column_names(description, places)
    for number, symmetry in enumerate(description.symmetries):
        place = ("symmetries", number)
        for position, axis in enumerate(symmetry.flips):
            if axis not in axes:
                problem = f"no view has an axis '{axis}'. {choose_from(axis, axes)}"
                raise places.error((*place, "flips", position), problem)
        if symmetry.transpose:
            oblong = [view for view in description.views if len(set(view.shape)) > 1]
            if oblong:
                problem = f"needs square images; view '{oblong[0].name}' is {list(oblong[0].shape)}."
                raise places.error((*place, "transpose"), problem)
        if not symmetry.transpose and not symmetry.flips:
            raise places.error(place, "changes nothing: give 'flips' or 'transpose'.")
        for column, effect in symmetry.truth.items():
            _check_known(column, known, (*place, "truth", column), places)
            _check_known(effect.source, known, (*place, "truth", column, "source"), places)


def _check_positions(description: DetectorDescription, places: Places) -> None:
    """A flip must move the positions along its axis; so it must be known which columns are positions."""
    if not description.symmetries:
        return
    predicted = {name for task in description.tasks for name in task.target_columns}
    used = predicted | _columns_of_conditions(description)
    for number, column in enumerate(description.truth):
        if column.name in predicted and column.unit in _LENGTHS and not column.axis:
            axes = sorted({axis for view in description.views for axis in view.axes})
            raise places.error(
                ("truth", number, "axis"),
                f"a task predicts '{column.name}' in {column.unit}, and there are symmetries: say along "
                f"which axis it is a position ({', '.join(axes)}), or 'none' if it is no position.",
            )
        if not column.axis or column.name not in used or column.expression:  # that follows its sources
            continue
        for position, symmetry in enumerate(description.symmetries):
            _check_effect(column, symmetry, ("symmetries", position, "truth"), description.views, places)


def _columns_of_conditions(description: DetectorDescription) -> set[str]:
    """Columns that classes and selections of tasks are made of, directly or through an expression."""
    expressions = {column.name: column.expression for column in description.truth if column.expression}
    texts = [text for task in description.tasks for text in (task.target, task.selection) if text]
    used: set[str] = set()
    todo = set().union(*map(columns_of, texts))
    while todo:
        used |= todo
        behind = (columns_of(expressions[name]) for name in todo & expressions.keys())
        todo = set().union(*behind) - used
    return used


def _check_effect(
    column: DescribedColumn, symmetry: Symmetry, place: Place, views: Sequence[View], places: Places
) -> None:
    moves = column.axis in symmetry.flips or (symmetry.transpose and column.axis != "none")
    if not moves or column.name in symmetry.truth:
        return
    view = next(view for view in views if column.axis in view.axes)
    length = view.shape[view.axes.index(column.axis)]
    offset = f"{length}" if column.unit == "px" else f"(where the {column.axis} axis ends, in {column.unit})"
    effect = f"{column.name}: {{source: {column.name}, scale: -1, offset: {offset}}}"
    what = f"flips '{column.axis}'" if column.axis in symmetry.flips else "transposes the image"
    raise places.error(
        place,
        f"symmetry '{symmetry.name}' {what} but leaves the position '{column.name}' where it was. "
        + (f"Add {effect}." if column.axis in symmetry.flips else "Say which column becomes it."),
    )


def _check_slices(description: DetectorDescription, places: Places) -> None:
    known = (*column_names(description, places), *SEEN)
    for number, one in enumerate(description.slices):
        place = ("slices", number)
        _check_expression(one.expression, known, (*place, "expression"), places)
        _check_expression(one.selection, known, (*place, "selection"), places)
        if len(one.edges) < 2 or list(one.edges) != sorted(set(one.edges)):
            raise places.error((*place, "edges"), f"must ascend, two at least. Got {list(one.edges)}.")
        if one.labels and len(one.labels) != len(one.edges) - 1:
            raise places.error(
                (*place, "labels"), f"must be one a bin: {len(one.edges) - 1}. Got {len(one.labels)}."
            )
    for number, law in enumerate(description.laws):
        _check_expression(law.expression, known, ("laws", number, "expression"), places)
        _check_expression(law.selection, known, ("laws", number, "selection"), places)
    tasks = [task.name for task in description.tasks]
    for number, result in enumerate(description.published):
        _check_known(result.task, tasks, ("published", number, "task"), places, "task")


def _check_files(description: DetectorDescription, places: Places) -> None:
    views = {view.name: view for view in description.views}
    from_files = [column.name for column in description.truth if not column.expression]
    for number, file in enumerate(description.files):
        place = ("files", number)
        for name in file.images:
            _check_known(name, views, (*place, "images", name), places, "view")
        for name in views:
            if name not in file.images:
                raise places.error((*place, "images"), f"view '{name}' is missing: say where its images are.")
        for name, source in file.images.items():
            _check_source(source, views[name], (*place, "images", name), places)
        for name in file.truth:
            _check_known(name, from_files, (*place, "truth", name), places)
        if file.parts and file.parts.count("#") != 1:
            problem = f"must have one # in place of the number, for example part#.root. Got '{file.parts}'."
            raise places.error((*place, "parts"), problem)
        for position, name in enumerate(file.optional):
            _check_known(name, from_files, (*place, "optional", position), places)


def _check_source(source: ImageSource, view: View, place: Place, places: Places) -> None:
    with_view = [] if source.index is None else ["view"]
    if source.axes and sorted(source.axes) not in (sorted(view.axes), sorted([*view.axes, *with_view])):
        problem = f"must be the axes of the view, {list(view.axes)}, in the order of the file"
        several = "; 'view' among them says where the file has its views" if with_view else ""
        raise places.error((*place, "axes"), f"{problem}{several}. Got {list(source.axes)}.")
    if not source.pixels or list(source.pixels) == ["pixel"]:
        return
    for axis in source.pixels:
        _check_known(axis, (*view.axes, "pixel"), (*place, "pixels", axis), places, "axis of the view")
    for axis in view.axes:
        if axis not in source.pixels:
            raise places.error((*place, "pixels"), f"axis '{axis}' is missing: name its column.")


def _check_known(
    name: str, known: Iterable[str], place: Place, places: Places, what: str = "truth column"
) -> None:
    choices = list(known)
    if name not in choices:
        raise places.error(place, f"there is no {what} '{name}'. {choose_from(name, choices)}")


def _check_expression(expression: str, known: Iterable[str], place: Place, places: Places) -> None:
    try:
        names = columns_of(expression)
    except SelectionError as error:
        raise places.error(place, str(error).removeprefix("Expression ")) from None
    for name in sorted(names):
        _check_known(name, known, place, places)
