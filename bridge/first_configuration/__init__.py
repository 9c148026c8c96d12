"""`trakor-bridge init`: writes the first configuration, after trying both systems.

::

    address ──reach_source──> answers GraphQL ──┐
    address ──reach_target──> Trakor answers ───┤ SourceAnswers, TargetAnswers
                                                v
        both grant access <──prove_source, prove_target      connection_trial.py
                    └──write──> config.toml, secrets/        writer.py
"""

from bridge.first_configuration.connection_trial import (
    SourceAnswers,
    TargetAnswers,
    prove_source,
    prove_target,
    reach_source,
    reach_target,
)
from bridge.first_configuration.writer import copy_queries, write

__all__ = [
    "SourceAnswers",
    "TargetAnswers",
    "copy_queries",
    "prove_source",
    "prove_target",
    "reach_source",
    "reach_target",
    "write",
]
