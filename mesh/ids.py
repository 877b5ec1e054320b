"""The names of things that travel: plain strings and numbers, told apart by type."""

from typing import NewType

NodeId = NewType("NodeId", str)
"""16 lower-case hexadecimal digits, drawn once and kept in the node's data directory."""

BootId = NewType("BootId", str)
"""8 lower-case hexadecimal digits, drawn at each start: tells a restarted node from the old one."""

ModelId = NewType("ModelId", str)
"""SHA-256 of the model file as 64 lower-case hexadecimal digits: its content id."""

PlanId = NewType("PlanId", str)
"""16 lower-case hexadecimal digits over a plan's content."""

Epoch = NewType("Epoch", int)
"""Counts a model's plans upwards; a stage refuses a frame of an epoch it does not hold."""

RequestKey = NewType("RequestKey", bytes)
"""16 random bytes that name one request inside the mesh (not the client's own id)."""

SessionKey = NewType("SessionKey", bytes)
"""16 random bytes that name one session inside the mesh, drawn anew at each start (not the client's name for it)."""
