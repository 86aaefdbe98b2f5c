"""Settings of training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from hitlens.sql import readable

#: Losses of regressions.
LossName = Literal["huber", "mse", "mae", "relative"]

#: Scores of the validation split that may choose the best epoch.
Monitor = Literal["auto", "loss", "balanced_loss", "accuracy", "balanced_accuracy", "auc"]


def _readable_mix(mix: object) -> object:
    for condition in mix if isinstance(mix, dict) else ():
        readable(str(condition))
    return mix


class TrainConfig(BaseModel):
    """How a network is trained.

    Attributes:
        epochs: passes over the training split.
        draws: training events shown an epoch; 0 for as many as there are.
        batch_size: events a step.
        last_batch: "drop" leaves out the events that do not fill the last batch of an epoch, "keep" takes a
            smaller step with them.
        optimizer: "adam" or "adamw" (decoupled weight decay); "keras_adam" and "rmsprop" step as Keras does,
            with its small number of 1e-7 (RMSprop with its rho of .9).
        learning_rate: highest rate.
        weight_decay: of the optimiser.
        schedule: "constant", or "cosine" down to zero at the last step.
        warmup_epochs: the rate rises linearly from zero over this many epochs, a quarter of all at most;
            may be a fraction.
        ema_decay: share kept a step of the running average of the weights that is validated and shipped; 0
            for no averaging.
        patience: stop after this many epochs without a better validation metric; 0 never stops early.
        monitor: the score of the validation split that chooses the best epoch. "auto" is the accuracy of a
            lone classification and else the loss; "auc" or "balanced_accuracy" tell more of rare classes;
            "balanced_loss" is the mean over the classes of the loss of each.
        keep: the weights that are shipped: those of the epoch with the "best" validation metric, or the
            "last" ones, where there are so few validation events that the best epoch is an accident.
        keep_epochs: "few" keeps checkpoints of the best epoch and the newest two, "all" those of every epoch.
            It changes nothing of the result.
        loss: of regression targets in units of their spread over the training split; "relative" is the
            absolute error over the true value. One for all heads, or by head.
        task_weights: of the heads of a joint task in the loss: "equal", "learned" (each head's uncertainty is
            learnt beside it), or a number by head; heads not named have 1.
        selection: SQL condition over truth columns; training events where it does not hold are not shown.
            The validation and the test split stay whole.
        mix: how training events are drawn: "natural" as they come, "balanced" each class of the first head
            that classifies equally often, "undersampled" as many events of each class as the rarest has,
            chosen once by split.seed, or shares by SQL condition. Validation and test stay natural.
        hard_sampling: share of each epoch's draws that go to events in proportion to their last loss,
            weighted so that the mean loss stays what it is; the rest is drawn evenly. 0 shows every event
            once an epoch.
        class_weights: "balanced" weights classes inversely to their frequency in the training split.
        augment: apply the detector's symmetries, all or those named.
        gradient_clip: largest norm of the gradient; 0 for no limit.
        precision: "auto" takes bfloat16 on a processor with AMX or a GPU that has it, if this network's
            gradients are there what they are in float32; the others force.
        accelerator: "auto" takes a GPU where there is one.
        checkpoint_minutes: time between checkpoints within an epoch, for epochs that are long; 0 writes one
            at each epoch's end only. It changes nothing of the result.
        seed: of weights, order, augmentation and dropout.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(30, ge=1)
    draws: int = Field(0, ge=0)
    batch_size: int = Field(256, ge=2)
    last_batch: Literal["drop", "keep"] = "drop"
    optimizer: Literal["adam", "adamw", "keras_adam", "rmsprop"] = "adamw"
    learning_rate: float = Field(3e-3, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_epochs: float = Field(1.0, ge=0)
    ema_decay: float = Field(0.999, ge=0, lt=1)
    patience: int = Field(0, ge=0)
    monitor: Monitor = "auto"
    keep: Literal["best", "last"] = "best"
    keep_epochs: Literal["few", "all"] = "few"
    loss: LossName | dict[str, LossName] = "huber"
    task_weights: Literal["equal", "learned"] | dict[str, float] = "equal"
    selection: Annotated[str, AfterValidator(readable)] = ""
    mix: Annotated[
        Literal["natural", "balanced", "undersampled"] | dict[str, float], BeforeValidator(_readable_mix)
    ] = "natural"
    hard_sampling: float = Field(0.0, ge=0, le=0.9)
    class_weights: Literal["none", "balanced"] = "none"
    augment: bool | tuple[str, ...] = True
    gradient_clip: float = Field(1.0, ge=0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    checkpoint_minutes: float = Field(0.0, ge=0)
    seed: int = Field(1, ge=0)


class TrackConfig(BaseModel):
    """Where a training is reported beside its history.csv; changes nothing of the training.

    Attributes:
        loggers: "mlflow", "tensorboard" or both; none for history.csv alone.
        uri: of MLflow: a server (http://HOST:5000) or a database (sqlite:///FILE). Where left out,
            $MLFLOW_TRACKING_URI, and without it the file mlflow.db in the working folder.
        experiment: of MLflow, the name under which it groups runs; <detector>/<task> where left out.
        run_name: of MLflow; the run folder where left out.
        upload_model: give MLflow the model file, instead of its path alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    loggers: tuple[Literal["mlflow", "tensorboard"], ...] = ()
    uri: str = ""
    experiment: str = ""
    run_name: str = ""
    upload_model: bool = False
