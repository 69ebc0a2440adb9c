"""`python -m e2e.images torch pmml`: serve tiny models from images that were built, as restricted pods would."""

import argparse
import os
import sys

from e2e.cluster import buildah, cluster, image_kinds
from e2e.images.trial import try_image


def main() -> int:
    """Return 0 when every image serves all that it is for."""
    known = image_kinds.kinds()
    parser = argparse.ArgumentParser(prog="python -m e2e.images", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(known)}; without any, all that are built")
    parser.add_argument("--logs", action="store_true", help="show what the servers said")
    options = parser.parse_args()
    if unknown := [name for name in options.kinds if name not in known]:
        parser.error(f"no kind {', '.join(unknown)}; there are {', '.join(known)}")
    if os.geteuid() != 0:
        print("trials of images need root: they mount images and start containers", file=sys.stderr)
        return 1
    failed = False
    with cluster.lock():
        built = [name for name, kind in known.items() if buildah.id_of(kind.image)]
        if missing := [name for name in options.kinds if name not in built]:
            print(f'not built: make images KINDS="{" ".join(missing)}"', file=sys.stderr)
            return 1
        for name in options.kinds or built:
            for outcome in try_image(known[name]):
                failed = failed or bool(outcome.problem)
                print(f"{name}: {outcome.part}: {outcome.problem or 'as it should be'}", flush=True)
                if options.logs and outcome.log:
                    print(outcome.log, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
