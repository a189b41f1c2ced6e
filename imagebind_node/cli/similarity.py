"""Cosine of every A with every B (with every other A if there is no --with), of any modality.

example:
  imagebind-node similarity bark.wav meow.wav --with dog.jpg cat.jpg text:dog
"""

from __future__ import annotations

import argparse

from imagebind_node.cli.options import add_model_arguments, load_model
from imagebind_node.cli.output import print_json, print_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "first", nargs="+", metavar="A", help="file, MODALITY:PATH, text:WORDS or a sum of them"
    )
    parser.add_argument(
        "--with", dest="second", nargs="+", metavar="B", help="columns of the matrix (default: A)"
    )
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from imagebind_node.query import parse_query

    first = [parse_query(text) for text in args.first]
    second = [parse_query(text) for text in args.second] if args.second else first
    encoder = load_model(args, frozenset().union(*(query.modalities for query in [*first, *second])))
    rows = [query.embed(encoder) for query in first]
    columns = [query.embed(encoder) for query in second] if args.second else rows
    matrix = [[a @ b if a.vector.size and b.vector.size else None for b in columns] for a in rows]
    names = [args.first, args.second or args.first]
    if args.json:
        print_json(
            "similarity",
            model=encoder.name,
            space=encoder.space.id,
            rows=[{"input": t, "abstained": e.abstained} for t, e in zip(names[0], rows)],
            columns=[{"input": t, "abstained": e.abstained} for t, e in zip(names[1], columns)],
            cosine=matrix,
        )
        return 0
    marked = [
        [f"{t} (abstained)" if e.abstained else t for t, e in zip(*pair)]
        for pair in zip(names, (rows, columns))
    ]
    print_table(("", *marked[1]), [(name, *values) for name, values in zip(marked[0], matrix)])
    return 0
