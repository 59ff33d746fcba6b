"""A run folder to plots, a film and a page; needs no torch.

Comes in: a run folder alone. Goes out: loss.png, accuracy.png, progress.gif, report.html.
Read first: page.py, what report.html shows, and run_view.py, what it says of a run. series.py reads metrics.jsonl,
charts.py says what a plot holds, raster.py and vector.py draw it, film.py makes the film. Any run can be
drawn again later from its folder.
"""
