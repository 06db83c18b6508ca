"""`lepton network apply | admit | suspend | remove | revoke | replace | adopt | support | withdraw | leave`, and
`lepton network members | motions`: who belongs to the network."""

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from node.app.settings import Folder
from node.base.codec import encode
from node.base.types import Digest, Height, PublicKey, is_cel_version
from node.cli.common import CommandError, Json, ask, console, parse_org, print_json, print_table, submit
from node.cli.join import hand_over
from node.edge.storage import read_card, readable_card
from node.ledger.contracts import membership
from node.ledger.contracts.membership import (
    Admit,
    Adopt,
    Leave,
    Motion,
    Remove,
    Replace,
    Revoke,
    Support,
    Suspend,
    Withdraw,
)

CardFile = Annotated[Path, typer.Argument(help="The organisation's card file.")]
Organisation = Annotated[str, typer.Argument(help="The organisation's name.")]
MotionId = Annotated[str, typer.Argument(help="The motion's id, or the first digits of it: lepton network motions.")]


def add_to(network: typer.Typer) -> None:
    """Add the membership's commands to `lepton network`."""
    for command in (apply, admit, suspend, remove, revoke, replace, adopt, support, withdraw, leave, members, motions):
        network.command()(command)


def apply(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(help="Where to write the card; default: it stays in the folder.")] = None,
    to: Annotated[
        str | None, typer.Option(help="host:port of a member's join call, to hand the card in there.")
    ] = None,
    member: Annotated[Path | None, typer.Option(help="That member's card, so that nobody else answers for it.")] = None,
    json: Json = False,
) -> None:
    """Apply for a network: show the card that its members must admit, hand it in, and say what to do next.

    Example: lepton --dir south network apply --out south.json
    """
    if (to is None) != (member is None):
        raise CommandError("--to and --member go together: the address of the join call, and that member's card")
    root: Path = context.obj.dir
    file = Folder(root).card
    shown = readable_card(read_card(file))
    if out is not None:
        if out.exists():
            raise CommandError(f"{out} exists already; name another file with --out")
        shutil.copyfile(file, out)
        file = out
    answer = None if to is None or member is None else hand_over(root, to, member)
    if json:
        print_json({**shown, "file": str(file), "answer": answer})
        return
    if answer is not None:
        console.print(answer)
    print_table(f"card of {shown['org']}", ["field", "value"], list(shown.items()))
    console.print(
        f"1. Hand {file} to a member of the network. Tell it the organisation key by another way, to compare."
    )
    console.print(f"2. Its operator runs: lepton network admit {file.name}   and a quorum of the others supports that.")
    console.print(f"3. Take the network's genesis file and run: lepton --dir {root} network install GENESIS")
    console.print(f"4. Run: lepton --dir {root} run   It catches up and joins by itself once it is admitted.")


def admit(context: typer.Context, card: CardFile, json: Json = False) -> None:
    """Vote to admit the organisation of a card. Compare its organisation key by another way first.

    Example: lepton --dir north network admit south.json
    """
    _vote(context, Admit(read_card(card)), as_json=json)


def suspend(context: typer.Context, org: Organisation, json: Json = False) -> None:
    """Vote to suspend a member: it neither votes nor connects until it is admitted again.

    Example: lepton --dir north network suspend south
    """
    _vote(context, Suspend(parse_org(org)), as_json=json)


def remove(context: typer.Context, org: Organisation, json: Json = False) -> None:
    """Vote to remove an organisation from the network.

    Example: lepton --dir north network remove south
    """
    _vote(context, Remove(parse_org(org)), as_json=json)


def revoke(
    context: typer.Context,
    org: Organisation,
    key: Annotated[str, typer.Argument(help="The stolen key as its card shows it; of a TLS key certificate_sha256.")],
    json: Json = False,
) -> None:
    """Vote to revoke a stolen key for ever. Whose node key it is, is suspended until a card with another is admitted.

    Example: lepton --dir north network revoke south 8a6f01c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5061728394a5b6c7d8e
    """
    try:
        raw = bytes.fromhex(key)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise CommandError(f"{key!r} is no key: copy its 64 hexadecimal digits from lepton network members --json")
    _vote(context, Revoke(parse_org(org), PublicKey(raw)), as_json=json)


def replace(context: typer.Context, card: CardFile, json: Json = False) -> None:
    """Vote for a member's next card when its organisation key was stolen or lost, so that it cannot sign it.

    Example: lepton --dir north network replace south-2.json
    """
    _vote(context, Replace(read_card(card)), as_json=json)


def adopt(
    context: typer.Context,
    cel_version: Annotated[str, typer.Argument(help="Of cel-expr-python, as its package names it.")],
    from_height: Annotated[int, typer.Option(min=1, help="The first height that is decided by it.")],
    json: Json = False,
) -> None:
    """Vote for another version of CEL, by which contracts decide, from a height on. Who lacks it then does not vote,
    and who installs it earlier does not vote until then: stop and start each daemon when that height is reached.

    Example: lepton --dir north network adopt 0.1.4 --from-height 250000
    """
    if not is_cel_version(cel_version):
        raise CommandError(f"{cel_version!r} is no version of a package")
    _vote(context, Adopt(cel_version, Height(from_height)), as_json=json)


def support(context: typer.Context, motion: MotionId, json: Json = False) -> None:
    """Vote for a motion that another member opened. Look at it first: `lepton network motions --json`.

    Example: lepton --dir east network support 4f0c
    """
    payload = bytes.fromhex(_find(context, motion)["support"])
    submit(context.obj, membership.NAME, "support", payload, as_json=json)


def withdraw(context: typer.Context, motion: MotionId, json: Json = False) -> None:
    """Take back this member's vote for a motion that has no quorum yet.

    Example: lepton --dir east network withdraw 4f0c
    """
    id_ = bytes.fromhex(_find(context, motion)["id"])
    submit(context.obj, membership.NAME, "withdraw", encode(Withdraw(Digest(id_))), as_json=json)


def leave(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Leave the network. Only a motion of its members lets this organisation in again.

    Example: lepton --dir south network leave --yes
    """
    if not yes and not typer.confirm("Leave the network? Only its members can let you in again"):
        raise CommandError("nothing was done")
    submit(context.obj, membership.NAME, "leave", encode(Leave()), as_json=json)


def members(context: typer.Context, json: Json = False) -> None:
    """Who belongs to the network, in which state, with which key and TLS term; open motions, waiting changes, faults.

    Example: lepton --dir north network members
    """
    found = ask(context.obj, lambda client: client.read("membership"))
    if json:
        print_json(found)
        return
    rows = [
        (m["org"], m["state"], m["since"], m["node_key"][:16], m["tls_until"] + (" OVER" if m["tls_over"] else ""))
        for m in found["members"]
    ]
    title = f"members at height {found['height']}, quorum {found['quorum']}"
    print_table(title, ["organisation", "state", "since height", "node key", "TLS term"], rows)
    _print_motions(found)
    if found["waiting"]:
        changes = [(w["org"], w["change"], w["accepted"]) for w in found["waiting"]]
        print_table("accepted, not in force yet", ["organisation", "change", "accepted at height"], changes)
    if found["faults"]:
        faults = [
            (f["org"], f"two {f['signed_twice']}s", f"{f['height']} / {f['round']}", f["reporter"], f["time"])
            for f in found["faults"]
        ]
        columns = ["organisation", "signed", "height / round", "shown by", "when"]
        print_table("proven contradictions, for ever", columns, faults)


def motions(context: typer.Context, json: Json = False) -> None:
    """The open motions, who supports them, and how many votes they need.

    Example: lepton --dir north network motions
    """
    found = ask(context.obj, lambda client: client.read("membership"))
    if json:
        print_json(found["motions"])
    elif found["motions"]:
        _print_motions(found)
    else:
        console.print("no motion is open")


def _print_motions(found: dict[str, Any]) -> None:
    rows = [
        (
            m["id"][:12],
            f"{m['kind']} {m['org'] or m['about']['cel_version']}",
            f"{m['counted']} of {m['needed']}",
            ", ".join(m["supporters"]),
            m["until"] + (" RUN OUT" if m["run_out"] else ""),
        )
        for m in found["motions"]
    ]
    if rows:
        print_table("open motions", ["motion", "what", "votes", "supporters", "until"], rows)


def _vote(context: typer.Context, motion: Motion, *, as_json: bool) -> None:
    outcome = submit(context.obj, membership.NAME, "support", encode(Support(motion)), as_json=as_json)
    if as_json or not outcome.accepted:
        return
    id_ = membership.motion_id(motion).hex()
    found = ask(context.obj, lambda client: client.read("membership"))
    still = next((m for m in found["motions"] if m["id"] == id_), None)
    if still is None and isinstance(motion, Adopt):
        console.print(
            f"the motion has passed: from height {motion.from_height} on contracts are decided by CEL "
            f"{motion.cel_version}. At that height each operator stops its daemon, installs cel-expr-python "
            f"{motion.cel_version} and starts it again; until then it does not vote",
            soft_wrap=True,
        )
    elif still is None:
        console.print("the motion has passed; what it changes is in force within two blocks")
    else:
        console.print(
            f"{still['counted']} of {still['needed']} votes; the others run: lepton network support {id_[:12]}"
        )


def _find(context: typer.Context, prefix: str) -> dict[str, Any]:
    found = ask(context.obj, lambda client: client.read("membership"))["motions"]
    matching = [m for m in found if m["id"].startswith(prefix.lower())] if prefix else []
    if len(matching) != 1:
        how = "no open motion begins" if not matching else f"{len(matching)} motions begin"
        raise CommandError(f"{how} with {prefix!r}; list them: lepton network motions")
    motion: dict[str, Any] = matching[0]
    return motion
