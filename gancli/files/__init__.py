"""Files that gancli reads and writes, without torch.

Input: paths from the user. Output: files that appear complete or not at all.
Read first: run_folder.py, which defines the files of a run. outputs.py creates the output files of commands,
provenance.py records how each picture was made, image_io.py reads and writes pictures, find_model.py distinguishes
runs, models and images, tensor_header.py reads what a model file says about itself, cache.py holds downloaded data
sets.
"""
