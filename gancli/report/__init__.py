"""A run folder to plots, a film and a page; needs no torch.

Comes in: a run folder alone. Goes out: loss.png, accuracy.png, progress.gif, report.html.
Read first: page.py, what report.html shows. series.py reads metrics.jsonl, charts.py says what a plot holds, film.py
makes the training-progress film. Any run can be drawn again later from its folder.
"""
