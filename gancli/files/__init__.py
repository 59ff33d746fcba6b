"""Files that gancli reads and writes, without torch.

Comes in: paths from the user. Goes out: files that appear complete or not at all.
Read first: run_folder.py, where everything of a run lies. outputs.py is where commands put what they make,
provenance.py what each picture says of its making, image_io.py reads and writes PNGs, find_model.py tells runs, models
and images apart, cache.py keeps data sets.
"""
