#!/usr/bin/env python
"""Draw point annotations from the masks of a data set: points of each box, inside or outside.

draw_points.py shapes_128_train --output output/point_sup/shapes_128_train_n10.json
draw_points.py instances_train2017.json --points 10 --seed 0 --output points_train2017.json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from d2align.atomic import write_text
from d2align.cli import fail_politely


def find_json(data: str) -> str:
    """Return the annotation file of a registered data set, or the path itself.

    Args:
        data: a path, or a name such as shapes_128_train, which is made where it is not there.

    Returns:
        The path of an existing file.

    Raises:
        ValueError: it is neither.
    """
    from detectron2.data import DatasetCatalog, MetadataCatalog

    from d2align.data.shapes.register import prepare_shapes

    if data in DatasetCatalog:
        prepare_shapes([data])
        data = MetadataCatalog.get(data).json_file
    if not Path(data).is_file():
        raise ValueError(f"data: got {data!r}, expected an annotation file or a data set's name")
    return data


def write(content: object, path: str) -> None:
    """Write a JSON file, whole or not at all.

    Args:
        content: what to write.
        path: of the file; its folder is made.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_text(Path(path), json.dumps(content))


def main() -> None:
    """Draw what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="a file in COCO's format, or a registered data set's name")
    parser.add_argument("--output", required=True, help="the file to write, .json")
    parser.add_argument("--points", type=int, default=10, help="for each object")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    from point_sup import add_points

    source = find_json(args.data)
    if Path(args.output).resolve() == Path(source).resolve():
        raise ValueError(f"--output: got {args.output!r}, expected another file than the source")
    drawn = add_points(json.loads(Path(source).read_text()), args.points, args.seed)
    write(drawn, args.output)
    labels = [p[2] for a in drawn["annotations"] for p in a.get("points", ())]
    objects = sum("points" in a for a in drawn["annotations"])
    print(f"{args.output}: {len(labels)} points of {objects} objects, {sum(labels)} of them inside")


if __name__ == "__main__":
    sys.exit(fail_politely(main))
