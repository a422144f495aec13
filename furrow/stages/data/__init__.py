"""From a dataset to what is learned: which rows, what becomes of them, and what there is to say of both."""
