"""Screening whole archives: a list of radiographs, engines that process it, rows of results.

`sources` lists the files and `fetching` fetches them. `run_folder` stores a run on disk. `screener`
converts one part of the list to one Parquet file. `engines` distributes the parts over processes or
a Ray cluster. `summary` reads the rows and writes the page.
"""
