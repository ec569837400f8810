"""Screening whole archives: a list of radiographs, an engine that goes through it, rows.

`sources` lists and `fetching` brings the files, `run_folder` keeps a run on disk, `screener` turns
one part of the list into one Parquet file, `engines` spreads the parts over processes or a Ray
cluster, `summary` reads the rows again and draws the page.
"""
