"""TapWeight: three coupled levels and the hypergradient of the objectives' weights.

Letters used in this package: ``k`` objectives, ``theta`` the pretrained parameters (backbone and
objective heads), ``omega`` the finetuned ones (a second backbone and the task head), ``alpha`` the
logits of the mixture, ``lambda = softmax(alpha)`` its weights. Nothing here knows about molecules.
"""
