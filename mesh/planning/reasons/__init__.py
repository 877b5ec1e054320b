"""Why a plan is the plan, or why there is none: rivals, nodes left out, smallest changes, what would help."""
