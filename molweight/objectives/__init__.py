"""Self-supervised objectives on pictures of molecules: one idea a file.

Letters: ``b`` pictures in a batch, ``n`` molecules in the corpus, ``d`` dimension of the embedding,
``H = W`` the picture's side in pixels. Pixels are uint8 inside views, and float32 normalised with
ImageNet's statistics when a backbone sees them.
"""
