"""A training told to MLflow and TensorBoard, through Lightning's loggers; neither of them can end it."""

from __future__ import annotations

import logging
import os
import re
import socket
import time
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from hitlens.errors import ConfigError
from hitlens.train.callbacks import read_history
from hitlens.train.config import TrackConfig

log = logging.getLogger(__name__)

#: Folder of TensorBoard's files in a run folder.
TENSORBOARD = "tensorboard"

#: Seconds an MLflow server has for each answer, and until one that gave none is asked again.
PATIENCE_S, RETRY_S = 5, 60

#: Where MLflow keeps its records where nothing else is said; its own default.
_DEFAULT_URI = "sqlite:///mlflow.db"

#: What MLflow does not take in a name.
_ODD = re.compile(r"[^\w\-. :/]")

_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


@dataclass(frozen=True)
class Summary:
    """How a training ended.

    Attributes:
        status: "finished", "stopped" or "interrupted".
        best_epoch: counted from 0.
        best_score: the monitored score of that epoch.
        monitor: its name.
        model: the model file.
    """

    status: str
    best_epoch: int
    best_score: float
    monitor: str
    model: Path


class TrackedLogger(Logger):
    """A logger of Lightning whose failures cost a warning, not the training.

    What could not be told is kept and told later, at the end at the latest.

    Args:
        inner: of Lightning.
        told: epochs it knows of already, because the training is resumed.
        close: tells the end of the training to ``inner``.
        record: what provenance.json keeps of it.
        manners: what ``inner`` is used within.
    """

    def __init__(
        self,
        inner: Logger,
        told: set[int],
        close: Callable[[Summary], None],
        record: Mapping[str, str],
        manners: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        super().__init__()
        self.inner = inner
        self.record = dict(record)
        self._told = told
        self._close = close
        self._manners = manners
        self._waiting: dict[int, dict[str, float]] = {}
        self._retry_at = 0.0
        self._warned = False

    @property
    def name(self) -> str:
        """Name of the logger: "mlflow" or "tensorboard"."""
        return self.record["logger"]

    @property
    def version(self) -> str:
        """Nothing, so that no progress bar shows it."""
        return ""

    @property
    def save_dir(self) -> str | None:
        """Nowhere: checkpoints lie in the run folder."""
        return None

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing; the settings are told once, by `make_loggers`."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Tell the scores of one epoch, and those of earlier epochs that could not be told.

        Args:
            metrics: by name.
            step: the epoch, from 0; one that was told before is passed over.
        """
        if step is not None and step not in self._told:
            self._waiting[step] = dict(metrics)
        if time.monotonic() >= self._retry_at:
            self._try(self._tell)

    def finalize(self, status: str) -> None:
        """Note that the training failed; `finish_loggers` tells a good end, when the model is written."""
        if status != "success":
            self._try(lambda: self.inner.finalize("failed"))

    def finish(self, history: Sequence[Mapping[str, str]], summary: Summary) -> None:
        """Tell every epoch that is still unknown, and the end.

        Args:
            history: rows of history.csv.
            summary: how it ended.
        """
        rows = {int(row["epoch"]): row for row in history}
        self._waiting = {e: _scores(row) for e, row in rows.items() if e not in self._told}
        self._try(self._tell)
        self._try(lambda: self._close(summary))

    def _tell(self) -> None:
        for epoch in sorted(self._waiting):
            self.inner.log_metrics(self._waiting[epoch], step=epoch)
            self._told.add(epoch)
            del self._waiting[epoch]
        self.inner.save()

    def _try(self, tell: Callable[[], None]) -> None:
        try:
            with self._manners():
                tell()
        except Exception as error:  # whatever it is: the training matters more
            self._retry_at = time.monotonic() + RETRY_S
            if not self._warned:
                reason = _first_line(error)
                log.warning("%s does not take what it is told; the training goes on. %s", self.name, reason)
            self._warned = True


def make_loggers(
    config: TrackConfig,
    folder: Path,
    settings: Mapping[str, Any],
    *,
    experiment: str,
    earlier: Mapping[str, Mapping[str, str]] | None = None,
) -> list[TrackedLogger]:
    """Return the loggers a training tells its epochs to; in other processes of a shared training, none.

    Args:
        config: which, and where.
        folder: run folder; TensorBoard's files go to a folder in it.
        settings: of the run, by dotted name.
        experiment: name of MLflow's experiment where the settings give none.
        earlier: `record_of` the loggers of the part of the training before it was interrupted.

    Raises:
        ConfigError: an extra is not installed, or MLflow's server or database does not answer.
    """
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return []
    makers = {"mlflow": _make_mlflow, "tensorboard": _make_tensorboard}
    return [
        makers[name](config, folder, settings, experiment, (earlier or {}).get(name, {}))
        for name in dict.fromkeys(config.loggers)
    ]


def record_of(loggers: Sequence[Logger]) -> dict[str, dict[str, str]]:
    """Return what a resumed training needs to go on with the same loggers, by name."""
    return {one.record["logger"]: one.record for one in loggers if isinstance(one, TrackedLogger)}


def finish_loggers(loggers: Sequence[Logger], history: Path, summary: Summary) -> None:
    """Tell the loggers what they do not know yet, and how the training ended.

    Args:
        loggers: of `make_loggers`.
        history: history.csv.
        summary: how it ended.
    """
    for one in loggers:
        if isinstance(one, TrackedLogger):
            one.finish(read_history(history), summary)


def _scores(row: Mapping[str, str]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if name != "epoch" and value}


def _make_tensorboard(
    config: TrackConfig,
    folder: Path,
    settings: Mapping[str, Any],
    experiment: str,
    earlier: Mapping[str, str],
) -> TrackedLogger:
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        raise _missing("TensorBoard") from None
    inner = TensorBoardLogger(folder, name="", version=TENSORBOARD, default_hp_metric=False)

    def close(summary: Summary) -> None:
        found = {"best_score": summary.best_score, "best_epoch": summary.best_epoch}
        inner.log_hyperparams(dict(settings), found, step=summary.best_epoch)
        inner.finalize("success")

    told = _tensorboard_epochs(folder / TENSORBOARD) if earlier else set()
    return TrackedLogger(inner, told, close, {"logger": "tensorboard", "folder": TENSORBOARD})


def _tensorboard_epochs(folder: Path) -> set[int]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not folder.is_dir():
        return set()
    events = EventAccumulator(str(folder), {"scalars": 0}).Reload()
    known = "val_loss" in events.Tags()["scalars"]
    return {event.step for event in events.Scalars("val_loss")} if known else set()


def _make_mlflow(
    config: TrackConfig,
    folder: Path,
    settings: Mapping[str, Any],
    experiment: str,
    earlier: Mapping[str, str],
) -> TrackedLogger:
    uri = _tracking_uri(config)
    shown = _without_password(uri)
    run_id = earlier.get("run_id") if earlier.get("uri") == shown else None
    told: set[int] = set()
    try:
        with _patient_mlflow():
            inner = _open_mlflow(config, uri, folder, config.experiment or experiment, run_id)
            if run_id is None:
                inner.log_hyperparams({_ODD.sub("_", name): value for name, value in settings.items()})
            else:
                inner.experiment.update_run(run_id, status="RUNNING")
                history = inner.experiment.get_metric_history(run_id, "val_loss")
                told = {point.step for point in history}
    except ConfigError:
        raise
    except ImportError:
        raise _missing("MLflow") from None
    except Exception as error:
        raise ConfigError(
            f"MLflow does not answer at {shown}: {_first_line(error)} Start its server, give another "
            "track.uri, or leave out --track mlflow."
        ) from None

    def close(summary: Summary) -> None:
        found = {"best_score": summary.best_score, "best_epoch": summary.best_epoch}
        inner.log_metrics(found, step=summary.best_epoch)
        told = {"model_file": summary.model.resolve(), "monitor": summary.monitor, "status": summary.status}
        for name, value in told.items():
            inner.experiment.set_tag(inner.run_id, f"hitlens.{name}", str(value))
        if config.upload_model:
            inner.experiment.log_artifact(inner.run_id, str(summary.model))
        ended = "KILLED" if summary.status == "interrupted" else "FINISHED"
        inner.experiment.set_terminated(inner.run_id, ended)

    record = {"logger": "mlflow", "uri": shown, "run_id": str(inner.run_id)}
    return TrackedLogger(inner, told, close, record, _patient_mlflow)


def _tracking_uri(config: TrackConfig) -> str:
    """Where MLflow keeps its records; a SQLite file by its full path."""
    uri = config.uri or os.environ.get("MLFLOW_TRACKING_URI") or _DEFAULT_URI
    if uri.startswith("sqlite:///"):
        return f"sqlite:///{Path(uri.removeprefix('sqlite:///')).absolute()}"
    return uri


def _open_mlflow(
    config: TrackConfig, uri: str, folder: Path, experiment: str, run_id: str | None
) -> MLFlowLogger:
    """Connect, and begin a run or go on with one."""
    _check_reachable(uri)
    location = None
    if uri.startswith("sqlite:///"):  # files lie beside the database, wherever the training was started
        location = (Path(uri.removeprefix("sqlite:///")).parent / "mlruns").as_uri()
    for attempt in range(3):
        try:
            inner = MLFlowLogger(
                experiment,
                run_name=config.run_name or folder.as_posix(),
                tracking_uri=uri,
                tags={"hitlens.run": str(folder.absolute())},
                artifact_location=location,
                run_id=run_id,
            )
            _ = inner.experiment
            break
        except Exception as error:
            # Another training made the database's tables, or the experiment, in the same moment.
            if "exist" not in str(error).lower() or run_id is not None or attempt == 2:
                raise
            time.sleep(0.5 + attempt)
    return inner


def _check_reachable(uri: str) -> None:
    """Refuse at once what MLflow would try for minutes, or not say clearly."""
    parts = urlsplit(uri)
    kind = parts.scheme.partition("+")[0]
    if uri.startswith("sqlite:///"):
        place = Path(uri.removeprefix("sqlite:///")).parent
        if not place.is_dir():
            raise ConfigError(f"track.uri: there is no folder {place} for MLflow's database.")
    elif kind in _PORTS:
        socket.create_connection(
            (parts.hostname or "localhost", parts.port or _PORTS[kind]), PATIENCE_S
        ).close()
    elif kind in ("", "file"):
        raise ConfigError(
            f"track.uri: MLflow no longer keeps its records in a folder. Got '{uri}'. Give a file, "
            "sqlite:///mlflow.db, or the address of a server, http://HOST:5000."
        )


@contextmanager
def _patient_mlflow() -> Iterator[None]:
    """Let MLflow give up after a few seconds, say nothing on the screen, and leave no settings behind."""
    before = dict(os.environ)
    # A server that is away must not hold up a training; what a user has set counts more.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(PATIENCE_S))
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    # Nothing about our users goes to anybody.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    try:
        import mlflow.tracking  # noqa: F401  # which sets up its own logging

        with _hushed("mlflow", "alembic", "pytorch_lightning.loggers.mlflow"), warnings.catch_warnings():
            # MLflow's tables are described in a way that SQLAlchemy 2.1 no longer likes.
            warnings.filterwarnings("ignore", message=".*noload.*")
            yield
    finally:
        for name in os.environ.keys() - before.keys():
            if name.startswith("MLFLOW_"):
                del os.environ[name]
        os.environ.update({name: text for name, text in before.items() if name.startswith("MLFLOW_")})


@contextmanager
def _hushed(*names: str) -> Iterator[None]:
    """Let some libraries log errors only."""
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _missing(name: str) -> ConfigError:
    return ConfigError(f"Tracking with {name} needs the extra 'track'. Install hitlens[track].")


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)


def _first_line(error: Exception) -> str:
    text = _without_password(str(error)).strip() or type(error).__name__
    cause = re.search(r"\[Errno -?\d+\] ([^'\")]+)", text)  # deep inside what requests says
    return f"{cause[1] if cause else text.splitlines()[0].rstrip('.')[:300]}."
