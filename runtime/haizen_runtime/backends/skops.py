"""scikit-learn models stored by skops: built from what the file describes, of types that are known to be safe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import skops.io

from haizen_runtime.backends.sklearn import SklearnBackend
from haizen_runtime.protocol.errors import UntrustedFormat

if TYPE_CHECKING:
    from haizen_runtime.backends.loading import LoadOptions

SHOWN_TYPES = 20
"""How many untrusted types a refusal names."""


def load(path: Path, options: LoadOptions) -> SklearnBackend:
    """Load a .skops file: types that skops trusts, or any with --allow_code.

    Raises UntrustedFormat naming the other types. Nothing of the file has been built or imported then.
    """
    untrusted = skops.io.get_untrusted_types(file=path)
    if untrusted and not options.allow_code:
        named = ", ".join(untrusted[:SHOWN_TYPES])
        more = f" and {len(untrusted) - SHOWN_TYPES} more" if len(untrusted) > SHOWN_TYPES else ""
        raise UntrustedFormat(
            f"{path.name} has types that skops does not trust: {named[:2000]}{more}. "
            "Start the runtime with --allow_code if you trust where it comes from."
        )
    return SklearnBackend(skops.io.load(path, trusted=untrusted), options)
