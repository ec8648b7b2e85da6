"""Options that make a whole run as small as it gets: some seconds."""

SMALLEST = (
    *("experiment=smoke", "corpus.limit=200"),
    *("backbone.width=4", "backbone.image_size=32", "backbone.init=random"),
)
