"""What a run has to say: one typed report, rendered by templates, and the plots of runs and leaderboards.

``report`` (``report.json``, and ``report.md`` and ``MODEL_CARD.md`` by ``templates``), ``plots`` (on
any axes), and ``page`` (``report.html``, from the files of a finished run alone: ``run_files`` reads them,
``run_pictures`` and ``examples`` draw, ``coverage`` counts). ``leaderboard_json`` has the types of
``leaderboard.json``.
"""
