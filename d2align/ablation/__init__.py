"""Floor 3: ablations: what one pixel detail costs, at a time, in AP, with honest intervals."""

from d2align.ablation.study import Arm, Study, full_study, quick_study

__all__ = ["Arm", "Study", "full_study", "quick_study"]
