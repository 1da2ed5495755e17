"""Deposits: folders of files in archives of research data, found by a DOI or an address of the archive."""
