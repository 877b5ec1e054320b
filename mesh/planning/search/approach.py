"""What it takes at least until a request is at a node, every link as it is, nodes at their prices.

As in `prices`, any node may run any number of stages on the cheapest path, and pays its price for each.
Built from the request towards the reply, so that `refine` can ask what the layers before a stage cost.
"""

from dataclasses import dataclass
from math import inf

import numpy as np

from mesh.planning.search.prices import Prices
from mesh.planning.search.space import Ints
from mesh.planning.search.tables import Floats, Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Approach:
    """`arrival_s[kind, boundary]` = until the input of a stage there is at a node, with prices.

    `price_s[kind]` = what each node costs; 0 for all is a bound as well.
    """

    arrival_s: Floats
    price_s: Floats

    def before(self, kinds: list[int], left: Ints, stop: int) -> Floats:
        """By boundary below `stop`: seconds before a team's stage with so many nodes of each kind left."""
        slowest: Floats = self.arrival_s[kinds, :stop].max(axis=0)
        return slowest - float(np.cumsum(left * self.price_s)[-1])


def find_approach(tables: Tables, prices: Prices, limit_s: float) -> Approach:
    """For stages whose period keeps the limit; of any number of nodes, unless they must be alone."""
    is_alone = tables.problem.max_replicas == 1
    seconds = np.stack(
        [
            np.where(table.pace <= limit_s, table.compute, inf) if is_alone else table.compute
            for table in tables.by_kind
        ]
    )
    hops = np.stack([np.stack(table.hops) for table in tables.by_kind])
    price = np.asarray(prices.of_kind)
    arrival = np.full(seconds.shape[:2], inf)
    arrival[:, 0] = [float(table.inward[0]) for table in tables.by_kind]
    for boundary in range(1, tables.layers):
        done = (arrival[:, :boundary] + seconds[:, :boundary, boundary]).min(axis=1) + price
        arrival[:, boundary] = (done[:, None] + hops[:, :, boundary]).min(axis=0)
    return Approach(arrival_s=arrival, price_s=price)
