"""TapWeight: three coupled levels and the hypergradient of the objectives' weights.

Letters used in this package: ``k`` objectives, ``theta`` the pretrained parameters (backbone and
objective heads), ``omega`` the finetuned ones (a second backbone and the task head), ``alpha`` the
logits of the mixture, ``lambda = softmax(alpha)`` its weights. Nothing here knows about molecules.
"""

from molweight.tapweight.averaging import AveragingConfig
from molweight.tapweight.directional import CentralDifference, ForwardMode
from molweight.tapweight.hessian import DoubleBackward, GradientDifference
from molweight.tapweight.horizon import TruncatedInverse
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.inverse import ConjugateGradient, Identity, Neumann
from molweight.tapweight.learn import LearnedWeights, learn_weights
from molweight.tapweight.presets import HYPERGRADIENTS
from molweight.tapweight.solver import StepRecord

__all__ = [
    "HYPERGRADIENTS",
    "AveragingConfig",
    "CentralDifference",
    "ConjugateGradient",
    "DoubleBackward",
    "ForwardMode",
    "GradientDifference",
    "Hypergradient",
    "Identity",
    "LearnedWeights",
    "Neumann",
    "StepRecord",
    "TruncatedInverse",
    "learn_weights",
]
