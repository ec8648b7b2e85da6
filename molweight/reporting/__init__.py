"""What a run has to say: its report as data, as Markdown and as a page, and its pictures.

``content`` (``report.json``), ``markdown`` (``report.md``), ``model_card``,
``figures`` (plots on anybody's axes), and ``page`` (``report.html``, from the files of a finished run alone:
``run_files`` reads them, ``run_pictures`` and ``examples`` draw, ``coverage`` counts, ``embedded`` makes
images of figures).
"""
