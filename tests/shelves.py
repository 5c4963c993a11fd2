"""The two places where an archive can stand, as one suite sees them: it, and what its keeper can do to it."""

from pathlib import Path
from typing import Protocol

from events.archive import Archive
from events.bucket import PROBE
from runtime.settings import load
from tests import buckets


class Place(Protocol):
    """A place with an archive."""

    def archive(self) -> Archive:
        """Give the archive as another process would see it, which has read nothing yet."""
        ...

    def names(self) -> list[str]:
        """Give the names of all that stands there, sorted."""
        ...

    def content(self, name: str) -> bytes:
        """Give what stands under a name."""
        ...

    def replace(self, name: str, content: bytes) -> None:
        """Put something else there."""
        ...

    def remove(self, name: str) -> None:
        """Take it away."""
        ...


class FolderPlace:
    """A folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def archive(self) -> Archive:
        return Archive(self.path)

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.path)) for path in self.path.rglob("*") if path.is_file())

    def content(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def replace(self, name: str, content: bytes) -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_bytes(content)

    def remove(self, name: str) -> None:
        (self.path / name).unlink()


class BucketPlace:
    """A bucket of its own."""

    def __init__(self, address: str, data_dir: Path) -> None:
        self.bucket = buckets.new_bucket(address)
        self._inside = buckets.Inside(address, self.bucket)
        self.settings = load({"BAHI_DATA_DIR": str(data_dir), **buckets.environ(address, self.bucket)})

    def archive(self) -> Archive:
        return Archive.at(self.settings)

    def names(self) -> list[str]:
        return [name for name in self._inside.names() if name != PROBE]

    def content(self, name: str) -> bytes:
        return self._inside.content(name)

    def replace(self, name: str, content: bytes) -> None:
        self._inside.replace(name, content)

    def remove(self, name: str) -> None:
        self._inside.remove(name)
