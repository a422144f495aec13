"""The settings of each method, by what it trains. The table of all of them is `method.py`."""
