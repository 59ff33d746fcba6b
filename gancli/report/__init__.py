"""Draw plots, a film and an HTML page from a run folder, without torch.

Input: a run folder, nothing else. Output: loss.png, accuracy.png, score.png, progress.gif, report.html.
Read first: page.py (report.html) and run_view.py (its facts about a run). series.py reads metrics.jsonl, charts.py
describes the plots, raster.py and vector.py draw them, film.py makes the film. Any run can be drawn again later from
its folder.
"""
