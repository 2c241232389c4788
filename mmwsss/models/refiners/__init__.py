"""AReAM's mechanism, which any method whose backbone gives attention can take along."""

from .affinity_reactivation import AffinityReactivation, AffinityTargets

__all__ = ['AffinityReactivation', 'AffinityTargets']
