"""What can go wrong with data sets at rest.

VaultError
├── SourceRefused    what is to be added is of no kind that the vault takes, or cannot be read
├── NotKept          the vault has no data set or version of this name
├── Busy             another command writes to the vault now
├── AlreadyKept      the same data lie in the vault under this version already
└── VersionDamaged   a part of one version is missing, changed, or does not open; the others are not touched
"""


class VaultError(Exception):
    """The vault cannot do it; the text says what to do."""


class SourceRefused(VaultError):
    """A file or folder that cannot be added."""


class NotKept(VaultError):
    """Nothing of this name is kept."""


class Busy(VaultError):
    """Another command holds the vault; it is free when that has ended."""


class AlreadyKept(VaultError):
    """The data are the same, byte for byte, as those of a version that is kept."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(f"these are the same data as version {version} of {name}: nothing was added")
        self.name = name
        self.version = version


class VersionDamaged(VaultError):
    """One part of one version; the text names it."""
