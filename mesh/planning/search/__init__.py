"""The search for the best plan, with its proof: tables, bounds, sweeps, branch and bound, and a budget."""
