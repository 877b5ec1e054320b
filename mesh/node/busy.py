"""What a node is doing that takes a while, with how far it is; what that is, is begun and ended elsewhere."""

from mesh.ids import ModelId
from mesh.node.loop import Loop
from mesh.node.workshop import Progress
from mesh.wire.documents import Activity


class Busy:
    """One activity for each model; on the loop's thread."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._under_way: dict[ModelId, Activity] = {}

    def __contains__(self, model_id: ModelId) -> bool:
        return model_id in self._under_way

    def activities(self) -> tuple[Activity, ...]:
        """By model."""
        return tuple(self._under_way[model_id] for model_id in sorted(self._under_way))

    def begin(self, kind: str, model_id: ModelId, name: str) -> Progress:
        """Note what is being done; the returned function tells how far it is, from any thread."""

        def note(done: int, total: int) -> None:
            if model_id in self._under_way:
                self._under_way[model_id] = Activity(
                    kind=kind, model_name=name, done=done, total=total
                )

        self._under_way[model_id] = Activity(kind=kind, model_name=name, done=0, total=0)
        return lambda done, total: self._loop.post(lambda: note(done, total))

    def end(self, model_id: ModelId) -> None:
        """Harmless where nothing was begun."""
        self._under_way.pop(model_id, None)
