"""Feeds as delivered in, messages out: feed lines, recordings and REST responses.

Every line becomes messages or is set aside with a reason; nothing is dropped in between.
"""
