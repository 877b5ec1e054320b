"""The models of one node on its disk, by content id: `models/<id>.tflite` and `golden/<id>.gold`.

Files appear whole or not at all and are never changed, so that readers need no lock. Who serves or
fetches them is decided elsewhere.
"""

import contextlib
import hashlib
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mesh.errors import IntegrityError, RemoteError, StoreError
from mesh.ids import ModelId
from mesh.store import catalogue as catalogues
from mesh.store import golden
from mesh.store.catalogue import Catalogue
from mesh.store.incoming import (
    FreeBytes,
    IncomingFile,
    check_free,
    mapped_os_errors,
    receiving,
    write_atomically,
)
from mesh.store.manifest import MAX_CATALOGUE_BYTES, check_model_id

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    model_id: ModelId
    size_bytes: int


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def no_progress(_done: int, _total: int) -> None:
    """Take a report of progress and do nothing."""


class ModelStore:
    """One folder of model files; making it creates the folder and removes what a crash left."""

    def __init__(
        self, data_dir: Path, *, max_model_bytes: int, free_bytes: FreeBytes = free_bytes
    ) -> None:
        self.max_model_bytes = max_model_bytes
        self._models = data_dir / "models"
        self._golden = data_dir / "golden"
        self._partial = data_dir / "partial"
        self._catalogue = data_dir / "catalogue.json"
        self._free_bytes = free_bytes
        with mapped_os_errors(f"Preparing {data_dir}"):
            for folder in (data_dir, self._models, self._golden, self._partial):
                folder.mkdir(parents=True, exist_ok=True)
                _remove_temporary(folder)
            self._remove_finished_parts()

    def add_file(self, path: Path, on_progress: Progress = no_progress) -> ModelId:
        """Copy a file in and return its content id. Raises: StoreError; then nothing has changed."""
        with mapped_os_errors(f"Reading {path}"):
            status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"{path} is not a file")
        with self.receive(status.st_size) as incoming:
            with mapped_os_errors(f"Reading {path}"), path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    incoming.write(chunk)
                    on_progress(incoming.size_bytes, status.st_size)
            return self.keep(incoming)

    @contextlib.contextmanager
    def receive(self, size_bytes: int) -> Iterator[IncomingFile]:
        """Begin a new model of this size; it is gone unless kept. Raises: StoreError: no room."""
        self.check_room(size_bytes)
        with receiving(self._models, max_bytes=size_bytes) as incoming:
            yield incoming

    def check_room(self, size_bytes: int, *, allocated_bytes: int = 0) -> None:
        """Raises: StoreError unless a model of this size may come in (part of it may be here)."""
        if not 0 < size_bytes <= self.max_model_bytes:
            raise StoreError(
                f"A model of {size_bytes} bytes is not stored: 1 to {self.max_model_bytes} are "
                "allowed (max_model_bytes)"
            )
        check_free(self._models, max(0, size_bytes - allocated_bytes), self._free_bytes)

    def keep(self, incoming: IncomingFile, expected: ModelId | None = None) -> ModelId:
        """Give a whole file its content id. Raises: IntegrityError unless it is the expected one."""
        found = ModelId(incoming.sha256())
        if expected is not None and found != expected:
            raise IntegrityError(
                f"The bytes received are model {found:.12}, not {expected:.12}: send again"
            )
        incoming.keep(self.model_path(found))
        return found

    def has(self, model_id: ModelId) -> bool:
        return self.model_path(model_id).is_file()

    def model_path(self, model_id: ModelId) -> Path:
        """Where the model's file is or would be."""
        return self._models / f"{check_model_id(model_id)}.tflite"

    def path(self, model_id: ModelId) -> Path:
        """The model's file. Raises: StoreError when it is not here."""
        path = self.model_path(model_id)
        if not path.is_file():
            raise StoreError(f"Model {model_id:.12} is not on this node; fetch it from a peer")
        return path

    def list_models(self) -> tuple[StoredModel, ...]:
        """What is here, sorted by id."""
        with mapped_os_errors(f"Reading {self._models}"):
            return tuple(
                StoredModel(model_id=ModelId(path.stem), size_bytes=path.stat().st_size)
                for path in sorted(self._models.glob("*.tflite"))
            )

    def remove(self, model_id: ModelId) -> None:
        """Delete the model, its golden file and what was half fetched; harmless when not there."""
        with mapped_os_errors(f"Removing model {model_id:.12}"):
            for path in (
                self.model_path(model_id),
                self.golden_path(model_id),
                *self.partial_paths(model_id),
            ):
                path.unlink(missing_ok=True)

    def verify(self, model_id: ModelId) -> None:
        """Read the whole file again. Raises: IntegrityError when it is damaged, StoreError."""
        found = hash_file(self.path(model_id))
        if found != model_id:
            raise IntegrityError(
                f"Model {model_id:.12} is damaged on this disk; remove it and fetch it again"
            )

    def golden_path(self, model_id: ModelId) -> Path:
        return self._golden / f"{check_model_id(model_id)}.gold"

    def write_golden(self, model_id: ModelId, outputs: Sequence[bytes]) -> str:
        """Store the expected raw outputs and return the file's SHA-256. Raises: StoreError."""
        return self.write_golden_file(model_id, golden.encode(outputs))

    def write_golden_file(self, model_id: ModelId, container: bytes) -> str:
        """Store a golden file made elsewhere. Raises: IntegrityError when damaged, StoreError."""
        golden.decode(container)
        check_free(self._golden, len(container), self._free_bytes)
        write_atomically(self.golden_path(model_id), container)
        return hashlib.sha256(container).hexdigest()

    def read_golden(self, model_id: ModelId) -> tuple[bytes, ...]:
        """The expected raw outputs in model order. Raises: StoreError, IntegrityError."""
        path = self.golden_path(model_id)
        with mapped_os_errors(f"Reading {path}"):
            return golden.decode(path.read_bytes())

    def load_catalogue(self) -> Catalogue:
        """The catalogue as last saved; empty on a new node. Raises: StoreError when unreadable."""
        if not self._catalogue.exists():
            return Catalogue()
        with mapped_os_errors(f"Reading {self._catalogue}"), self._catalogue.open("rb") as file:
            content = file.read(MAX_CATALOGUE_BYTES + 1)
        try:
            return catalogues.decode(content)
        except RemoteError as error:
            raise StoreError(
                f"{self._catalogue} is damaged ({error}): move it away, peers will fill it again"
            ) from error

    def save_catalogue(self, catalogue: Catalogue) -> None:
        """Replace the saved catalogue in one step. Raises: StoreError."""
        write_atomically(self._catalogue, catalogues.encode(catalogue))

    def partial_paths(self, model_id: ModelId) -> tuple[Path, Path]:
        """Where a fetch keeps its bytes, and which pieces it has."""
        name = check_model_id(model_id)
        return self._partial / f"{name}.part", self._partial / f"{name}.pieces"

    def _remove_finished_parts(self) -> None:
        for path in self._partial.iterdir():
            if (self._models / f"{path.stem}.tflite").exists():
                path.unlink()


def _remove_temporary(folder: Path) -> None:
    for path in folder.glob("*.tmp"):
        path.unlink()


def hash_file(path: Path, on_progress: Progress = no_progress) -> ModelId:
    """The content id of a file. Raises: StoreError."""
    digest, done_bytes = hashlib.sha256(), 0
    with mapped_os_errors(f"Reading {path}"), path.open("rb") as file:
        total_bytes = path.stat().st_size
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            done_bytes += len(chunk)
            on_progress(done_bytes, total_bytes)
    return ModelId(digest.hexdigest())
