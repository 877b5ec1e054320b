"""`mesh demo`: three real nodes on this machine split a trained model, answer, and survive a kill."""

import argparse
import tempfile
from pathlib import Path

from mesh.cli.demo_story import Story, Wishes
from mesh.cli.options import Parser, add_json, at_least_one, examples
from mesh.cli.orderly_end import orderly_end
from mesh.cli.session import Session
from mesh.config import default_data_dir
from mesh.demo.samples import samples
from mesh.testing.local_mesh import LocalMesh

SAMPLE = "pose_landmark_full"
PHOTO = "astronaut"
MIN_NODES, MAX_NODES = 2, 8
FOLDER_PREFIX = "edge-mesh-demo-"


def configure(parser: Parser) -> None:
    parser.description = (
        "Show what the mesh does, with nothing faked: start three node processes that find\n"
        "each other over mDNS, add a trained vision model, split it among them, ask about a\n"
        "photo, check the answers bit for bit against the whole model, measure, kill one\n"
        "node, and clean up. Everything stays on this machine's loopback."
    )
    parser.epilog = examples(
        "mesh demo",
        "mesh demo --nodes 4",
        "mesh demo --broker embedded       # as on a machine without mosquitto",
        "mesh demo --keep                  # leave the mesh running, to play with it",
    )
    parser.add_argument(
        "--nodes",
        type=node_count,
        default=3,
        metavar="N",
        help=f"how many nodes, {MIN_NODES} to {MAX_NODES} (%(default)s)",
    )
    parser.add_argument(
        "--broker",
        choices=("mosquitto", "embedded"),
        help="which MQTT broker the nodes run (default: mosquitto where it is installed)",
    )
    parser.add_argument(
        "--samples",
        type=Path,
        metavar="DIR",
        help="where downloaded samples are kept (default: in the data directory)",
    )
    parser.add_argument("--keep", action="store_true", help="leave the mesh running until Ctrl-C")
    add_json(parser)


def run(args: argparse.Namespace, session: Session) -> int:
    wishes = Wishes(
        sample=samples()[SAMPLE],
        photo=samples()[PHOTO],
        names=tuple(f"node-{i + 1}" for i in range(args.nodes)),
        cache_dir=args.samples or default_data_dir() / "samples",
        keep=args.keep,
    )
    options = ("--broker", args.broker) if args.broker else ()
    with orderly_end(), tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as folder:
        mesh = LocalMesh(Path(folder) / "nodes", options=options, measure_each=True)
        story = Story(wishes, session, mesh, Path(folder), as_json=args.json)
        with mesh:
            return _tell(story, session)


def _tell(story: Story, session: Session) -> int:
    try:
        return story.tell()
    except (KeyboardInterrupt, SystemExit):
        session.terminal.note("\nstopping the nodes and cleaning up …")
        raise


def node_count(text: str) -> int:
    count = at_least_one(text)
    if not MIN_NODES <= count <= MAX_NODES:
        raise argparse.ArgumentTypeError(f"{text} is not {MIN_NODES} to {MAX_NODES}")
    return count
