"""The member's folder and its settings: read once, frozen, handed out in parts.

::

    DIR/node.toml        these settings
    DIR/keys/            key files, encrypted          DIR/ledger.sqlite   chain and state
    DIR/card.json        this organisation's card      DIR/votes.log       what this member signed and is not final
    DIR/genesis.json     the network's genesis         DIR/models/         model files, by job
    DIR/peers/           newer cards of peers, handed over by people
    DIR/data/            the organisation's own rows   DIR/approvals/      which data file a job may use
    DIR/vault/           data sets at rest, encrypted
    DIR/inputs/          this member's updates of running training rounds, sealed
    DIR/commitments/     salts of the fingerprints that this organisation put on the ledger
    DIR/halt-at          the height to halt at, if there is one
    DIR/snapshots/       the last two snapshots of the state, for members that are far behind
    DIR/applicants/      cards that strangers handed in by the join call
    DIR/operator.sock    the operator's socket         DIR/daemon.lock     held by the running daemon
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from node.base.errors import ExplainedError
from node.base.types import OrgId, is_org_id


class SettingsError(ExplainedError):
    """The member's folder or its settings cannot be used; the text says what to do."""


def _org(text: str) -> str:
    if not is_org_id(text):
        raise ValueError("1 to 63 of a-z, 0-9, '-' and '_', the first a letter or digit")
    return text


class Egress(BaseModel):
    """`[egress]`: what may leave this organisation in an update, whatever a job asks for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    norm_max: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Longer updates (Euclidean norm) are shortened to this before they are committed."""
    values_max: Annotated[int, Field(gt=0)] | None = None
    """No update of more values leaves."""


class Snapshots(BaseModel):
    """`[snapshots]`: when this member makes them and takes them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: Annotated[int, Field(ge=0)] = 2_000
    """Blocks between two own snapshots; 0 makes none."""
    behind: Annotated[int, Field(ge=1)] = 5_000
    """Further behind than this, a snapshot is taken if there is one, else blocks."""
    keep_blocks: Annotated[int, Field(ge=0)] = 0
    """Blocks below each own snapshot that stay whole; of older ones only header and certificate stay. 0 keeps all."""


class VaultLimits(BaseModel):
    """`[vault]`: what this member keeps for others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    replica_bytes: Annotated[int, Field(ge=0)] = 10 << 30
    """Encrypted copies of others' data sets take no more than this, 10 GiB; what goes beyond is declined."""


class Settings(BaseModel):
    """What `node.toml` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    org: Annotated[str, AfterValidator(_org)]
    listen: str
    """`host:port` to bind; the card says where others dial."""
    join_listen: str | None = None
    """`host:port` where strangers may hand in their cards, and nothing else; without it there is no such port."""
    passphrase_file: str | None = None
    """Relative to the folder. Without it: a systemd credential, or a prompt."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    egress: Egress = Egress()
    snapshots: Snapshots = Snapshots()
    vault: VaultLimits = VaultLimits()

    @property
    def org_id(self) -> OrgId:
        """The organisation's name."""
        return OrgId(self.org)


@dataclass(frozen=True, slots=True)
class Folder:
    """Names of what lies in a member's folder."""

    root: Path

    @property
    def settings(self) -> Path:
        """`node.toml`."""
        return self.root / "node.toml"

    @property
    def card(self) -> Path:
        """This organisation's card."""
        return self.root / "card.json"

    @property
    def genesis(self) -> Path:
        """The network's genesis, signed by all founders."""
        return self.root / "genesis.json"

    @property
    def ledger(self) -> Path:
        """The SQLite file of chain and state."""
        return self.root / "ledger.sqlite"

    @property
    def votes(self) -> Path:
        """The vote log."""
        return self.root / "votes.log"

    @property
    def halt(self) -> Path:
        """The height to halt at."""
        return self.root / "halt-at"

    @property
    def models(self) -> Path:
        """Model files by job."""
        return self.root / "models"

    @property
    def inputs(self) -> Path:
        """Sealed inputs of running training rounds."""
        return self.root / "inputs"

    @property
    def approvals(self) -> Path:
        """Which data file each approved job may use."""
        return self.root / "approvals"

    @property
    def commitments(self) -> Path:
        """Salts of the fingerprints that this organisation put on the ledger."""
        return self.root / "commitments"

    @property
    def vault(self) -> Path:
        """Data sets at rest, encrypted."""
        return self.root / "vault"

    @property
    def snapshots(self) -> Path:
        """Snapshots of the state, own ones and one that is being fetched."""
        return self.root / "snapshots"

    @property
    def applicants(self) -> Path:
        """Cards that strangers handed in."""
        return self.root / "applicants"

    @property
    def peers(self) -> Path:
        """Newer cards of peers than the ledger has, by organisation."""
        return self.root / "peers"

    @property
    def lock(self) -> Path:
        """Held by the running daemon."""
        return self.root / "daemon.lock"


def read_settings(root: Path) -> Settings:
    """The settings of the member in `root`. Raises `SettingsError`."""
    path = Folder(root).settings
    try:
        return Settings.model_validate(tomllib.loads(path.read_text()))
    except FileNotFoundError as error:
        raise SettingsError(
            f"{root} has no {path.name}, so it is no member's folder. Make one: lepton --dir {root} init --org NAME"
        ) from error
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error


def write_settings(root: Path, settings: Settings) -> None:
    """Write `node.toml`."""
    plain = settings.model_dump(exclude={"egress", "snapshots", "vault"}, exclude_none=True)
    lines = [f'{name} = "{value}"' for name, value in plain.items()]
    Folder(root).settings.write_text(
        "# Read by the daemon at its start. The README says what each line means.\n" + "\n".join(lines) + "\n"
    )
