"""Change the champion atomically: a single write, of the alias ``champion``, decides; everything else follows from it.

MLflow has no transactions. The writes that follow (the alias ``previous``, tags, stages) are therefore recorded on the
registered model first, so that the next process to read it can finish them. A process that is killed leaves the registry as it
was before the change, or as it is after.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHALLENGER, CHAMPION, PREVIOUS = "challenger", "champion", "previous"
STAGES = {
    CHALLENGER: "Staging",
    CHAMPION: "Production",
    PREVIOUS: "Archived",
}  # stages, for tools that still read them
MOVE = "churnflow.move"  # tag of a registered model whose champion is changing
ROOM = 5000  # maximum characters of such a tag in PostgreSQL


@dataclass(frozen=True)
class Move:
    """The version that becomes champion, the one that becomes ``previous``, and the tags to write on versions."""

    champion: str
    previous: str | None
    tags: Mapping[str, Mapping[str, str]]

    def text(self) -> str:
        """The move as the value of the tag MOVE; long texts are truncated."""
        for longest in (2000, 1000, 300):
            cut = {
                version: {key: value[:longest] for key, value in tags.items()} for version, tags in self.tags.items()
            }
            content = json.dumps({**asdict(self), "tags": cut}, ensure_ascii=False)
            if len(content) <= ROOM:
                break
        return content

    @classmethod
    def noted(cls, tags: Mapping[str, str]) -> "Move | None":
        """The move in a registered model's tags, if there is one."""
        return cls(**json.loads(tags[MOVE])) if MOVE in tags else None


def aliases(model: Any) -> dict[str, str]:
    """The versions of MLflow's registered ``model`` by alias; a decided move counts as finished."""
    versions = {alias: str(version) for alias, version in model.aliases.items()}
    move = Move.noted(model.tags)
    if move is not None and versions.get(CHAMPION) == move.champion:
        versions = {alias: version for alias, version in versions.items() if alias != PREVIOUS}
        versions |= {PREVIOUS: move.previous} if move.previous is not None else {}
    return versions


def change_champion(mlflow: "MlflowClient", name: str, move: Move, require_lock: Callable[[], None]) -> None:
    """Change the champion. The caller holds the lock; ``require_lock`` verifies it (see ``registry_lock``)."""
    mlflow.set_registered_model_tag(name, MOVE, move.text())
    require_lock()
    mlflow.set_registered_model_alias(name, CHAMPION, move.champion)
    finish_move(mlflow, name)


def finish_move(mlflow: "MlflowClient", name: str) -> None:
    """Finish a decided move, or discard an undecided one. The caller holds the lock."""
    model = mlflow.get_registered_model(name)
    if (move := Move.noted(model.tags)) is None:
        return
    if str(model.aliases.get(CHAMPION)) == move.champion:
        _follow(mlflow, name, move)
    mlflow.delete_registered_model_tag(name, MOVE)


def _follow(mlflow: "MlflowClient", name: str, move: Move) -> None:
    versions = mlflow.search_model_versions(f"name = '{name}'")
    stages = {str(one.version): str(one.current_stage) for one in versions}
    for version, tags in move.tags.items():
        for key, value in tags.items() if version in stages else ():  # it may have been deleted in the meantime
            mlflow.set_model_version_tag(name, version, key, value)
    if move.previous is not None and move.previous in stages:
        mlflow.set_registered_model_alias(name, PREVIOUS, move.previous)
    else:
        mlflow.delete_registered_model_alias(name, PREVIOUS)
    for version, now in stages.items():
        if version == move.champion:
            wanted = STAGES[CHAMPION]
        else:
            wanted = STAGES[PREVIOUS] if version == move.previous or now == STAGES[CHAMPION] else now
        if wanted != now:
            move_to_stage(mlflow, name, version, wanted)


def move_to_stage(mlflow: "MlflowClient", name: str, version: str, wanted: str) -> None:
    """Move a version into a stage without moving others out of it, which fails in MLflow 3.17 on PostgreSQL."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # stages are deprecated; they only mirror the aliases here
        mlflow.transition_model_version_stage(name, version, wanted)
