"""Checks packs and proofs of an audit log, without the server that made them.

It shares no code with the server, and `cryptography` is all it needs. Nothing is believed but what
follows from a checkpoint signed by a key that the caller pinned. A refusal says what is wrong, in
which file, at which entry. The formats: docs/evidence.md.

To read it, begin with `packs.verify`, the verdict. `entries` and `index` are what this log has of
its own, `trees` and `checkpoints` what every transparency log has (RFC 6962, C2SP); `files` reads a
zip that somebody hostile may have made.
"""

from dotenv_cloud.verifier.checkpoints import (
    COSIGNATURE,
    ED25519,
    KEY_SIZES,
    ML_DSA_44,
    NAME,
    Checkpoint,
    Key,
    read_checkpoint,
    seen_by,
    three_lines,
    verify_head,
    verify_note,
)
from dotenv_cloud.verifier.entries import (
    BLOCK,
    END_OF_TIME,
    FILE,
    PARTS,
    Entry,
    keys_of,
    read_leaf,
    read_line,
    renamings,
)
from dotenv_cloud.verifier.index import Walk, Zone, index_block, index_roots
from dotenv_cloud.verifier.packs import (
    Question,
    Report,
    Trust,
    file_name,
    iso,
    verify,
    verify_proof,
)
from dotenv_cloud.verifier.trees import (
    Refused,
    decimal,
    fold,
    from_base64,
    hashes_of,
    located,
    require,
    root_of,
    verify_consistency,
    verify_inclusion,
)

__all__ = (
    "COSIGNATURE",
    "Checkpoint",
    "ED25519",
    "KEY_SIZES",
    "Key",
    "ML_DSA_44",
    "NAME",
    "read_checkpoint",
    "seen_by",
    "three_lines",
    "verify_head",
    "verify_note",
    "BLOCK",
    "END_OF_TIME",
    "Entry",
    "FILE",
    "PARTS",
    "keys_of",
    "read_leaf",
    "read_line",
    "renamings",
    "Walk",
    "Zone",
    "index_block",
    "index_roots",
    "Question",
    "Report",
    "Trust",
    "file_name",
    "iso",
    "verify",
    "verify_proof",
    "Refused",
    "decimal",
    "fold",
    "from_base64",
    "hashes_of",
    "located",
    "require",
    "root_of",
    "verify_consistency",
    "verify_inclusion",
)
